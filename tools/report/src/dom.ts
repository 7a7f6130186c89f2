// Elements, and numbers for people. Text only ever becomes text nodes and attributes: a hostile name stays a name.

type Child = Node | string;
type Attributes = Record<string, string | number>;

function fill<T extends Element>(made: T, attributes: Attributes, children: Child[]): T {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

export function html<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

export function table(columns: string[], rows: Child[][]): HTMLElement {
  const head = html("tr", {}, ...columns.map((name) => html("th", { scope: "col" }, name)));
  const body = rows.map((cells) => html("tr", {}, ...cells.map((cell) => html("td", {}, cell))));
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": columns.join(", ") }, html("table", {}, html("thead", {}, head), html("tbody", {}, ...body)));
}

/** Lets Enter and Space do what a click does. */
export function pressable(element: Element, press: () => void): void {
  element.setAttribute("tabindex", "0");
  element.setAttribute("role", "button");
  element.addEventListener("click", press);
  element.addEventListener("keydown", (event) => {
    const { key } = event as KeyboardEvent;
    if (key !== "Enter" && key !== " ") return;
    event.preventDefault();
    press();
  });
}

export function choice(label: string, options: string[], chosen: number, choose: (number: number) => void): HTMLElement {
  const select = html("select", {}, ...options.map((text, i) => html("option", { value: i }, text)));
  select.selectedIndex = chosen;
  select.addEventListener("change", () => choose(select.selectedIndex));
  return html("label", {}, `${label} `, select);
}

export function grouped(value: number): string {
  const exact = Number.isSafeInteger(value);
  return (exact ? "" : "≈ ") + value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

export function human(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024;
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

/** A name of 70 000 bytes must not take the page; its whole text is one step away. */
export function short(name: string, most = 120): string {
  if (name.length <= most) return name;
  return `${name.slice(0, most - 30)}…${name.slice(-20)} (${grouped(name.length)} characters)`;
}

/** Okabe and Ito's colours, which people with any sight of colours tell apart. */
const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999"];

export function colour(number: number): string {
  return PALETTE[number % PALETTE.length];
}

/** Text on a colour of the palette. */
export function ink(background: string): string {
  return ["#0072b2"].includes(background) ? "#ffffff" : "#000000";
}
