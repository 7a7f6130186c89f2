import tseslint from "typescript-eslint";

export default tseslint.config(tseslint.configs.recommended, {
  files: ["src/**"],
  extends: [tseslint.configs.recommendedTypeChecked],
  languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
  // What a file says is a number, whatever the schema's enum holds.
  rules: { "@typescript-eslint/no-unsafe-enum-comparison": "off" },
});
