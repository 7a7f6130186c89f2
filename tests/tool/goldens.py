"""What the golden files hold: one per command line, and one flatpoint file per imported sample."""

from tool import run

# Each is run in a folder that holds a copy of every sample below, and of its flatpoint file as SAMPLE.flatpoint.
SAMPLES = (
    "d01_dtensor_1d",
    "d02_dtensor_2d",
    "d04_fsdp2",
    "d09_no_collectives",
    "real_t2.1.2_single",
    "real_t2.6.0_sharded",
    "s01_plain_tensors",
    "s04_dtypes",
    "s05_quantized",
    "s07_optimizer_bytes",
    "s10_zstd",
    "s17_empty",
    "s23_megatron_all_local_plans",
    "synthetic_w64_1000",
)

COMMANDS = {
    "help": "--help",
    "export": "export d04_fsdp2.flatpoint -o out.flatpoint",
    "export-json": "export s23_megatron_all_local_plans -o out.flatpoint --torch 2.14 --json",
    "help-export": "export --help",
    "help-find": "find --help",
    "help-import": "import --help",
    "help-ls": "ls --help",
    "help-plan": "plan --help",
    "help-show": "show --help",
    "help-verify": "verify --help",
    "import": "import s01_plain_tensors -o out.flatpoint",
    "import-json": "import d04_fsdp2 -o out.flatpoint --json",
    "import-rank": "import d09_no_collectives --of-rank 1",
    "ls": "ls s07_optimizer_bytes",
    "ls-dcp-order": "ls d01_dtensor_1d --sort dcp",
    "ls-dtypes": "ls s04_dtypes",
    "ls-empty": "ls s17_empty",
    "ls-flatpoint": "ls d04_fsdp2.flatpoint",
    "ls-json": "ls d01_dtensor_1d --json",
    "ls-long": "ls d02_dtensor_2d --long",
    "ls-long-2.1": "ls real_t2.1.2_single --long",
    "ls-no-match": "ls d01_dtensor_1d nothing*",
    "ls-patterns": "ls s07_optimizer_bytes model.* *.step *.bias.exp_avg",
    "ls-quantized": "ls s05_quantized --long",
    "ls-rank": "ls d09_no_collectives --of-rank 2",
    "ls-sort-size": "ls synthetic_w64_1000 --sort size",
    "show": "show s07_optimizer_bytes",
    "show-2.1": "show real_t2.1.2_single",
    "show-2.6": "show real_t2.6.0_sharded",
    "show-all-files": "show synthetic_w64_1000 --all",
    "show-empty": "show s17_empty",
    "show-files": "show synthetic_w64_1000",
    "show-json": "show d01_dtensor_1d --json",
    "show-megatron": "show s23_megatron_all_local_plans",
    "show-megatron-json": "show s23_megatron_all_local_plans --json",
    "show-rank": "show d09_no_collectives --of-rank 3",
    "show-bytes": "show d01_dtensor_1d obj.a",
    "show-bytes-json": "show d01_dtensor_1d obj.a --json",
    "show-tensor": "show d02_dtensor_2d s0s0",
    "show-tensor-absent": "show d01_dtensor_1d unevem",
    "show-tensor-empty-chunk": "show d01_dtensor_1d tiny",
    "show-tensor-json": "show d01_dtensor_1d uneven --json",
    "show-tensor-long": "show synthetic_w64_1000 model.model.embed_tokens.weight",
    "show-tensor-zstd": "show s10_zstd a",
    "find": "find d01_dtensor_1d uneven",
    "find-absent": "find d01_dtensor_1d evne",
    "find-absent-json": "find d01_dtensor_1d evne --json",
    "find-absent-offset": "find d01_dtensor_1d even --offset 1,0",
    "find-absent-offset-json": "find d01_dtensor_1d even --offset 1,0 --json",
    "find-bytes": "find d01_dtensor_1d obj.a",
    "find-flatpoint": "find synthetic_w64_1000.flatpoint model.model.embed_tokens.weight --offset 6012,0",
    "find-json": "find d02_dtensor_2d s0s1 --json",
    "find-offset-json": "find d02_dtensor_2d s0s0 --offset 8,0 --json",
    "find-zstd-json": "find s10_zstd a --json",
    "plan": "plan d04_fsdp2 --mesh 3 --placements S0 --rank 1",
    "plan-all-ranks": "plan d02_dtensor_2d --mesh 2x3 --placements S1,S0 --all-ranks",
    "plan-all-ranks-json": "plan d02_dtensor_2d --mesh 2x3 --placements S1,S0 --all-ranks --json",
    "plan-gap": "plan d04_fsdp2 --mesh 3 --placements S0 --rank 2 --gap 4096",
    "plan-json": "plan d01_dtensor_1d --mesh 3 --placements S0 --rank 2 --json",
    "plan-no-mesh": "plan d01_dtensor_1d --rank 2",
    "plan-no-rank": "plan d01_dtensor_1d --mesh 2x2 --placements S0,R --rank 4",
    "verify": "verify d04_fsdp2 --check rules",
    "verify-coverage": "verify d04_fsdp2.flatpoint --coverage",
    "verify-flatpoint": "verify d04_fsdp2.flatpoint",
    "verify-json": "verify d04_fsdp2.flatpoint --json",
}

IMPORTS = {
    "d01_dtensor_1d": (),
    "d02_dtensor_2d": (),
    "d04_fsdp2": (),
    "d09_no_collectives": ("--of-rank", "1"),
    "real_t2.1.2_single": (),
    "real_t2.6.0_sharded": (),
    "s01_plain_tensors": (),
    "s10_zstd": (),
    "s17_empty": (),
    "s23_megatron_all_local_plans": (),
    "synthetic_w64_1000": (),
}


def prepare(case):
    """Fills a ToolTest's folder."""
    for sample in SAMPLES:
        case.sample(sample)
    for sample, options in IMPORTS.items():
        answer = run("import", sample, "-o", f"{sample}.flatpoint", *options, cwd=case.folder)
        case.assertEqual(answer.code, 0, answer.err)


def generate(case):
    """(name of the golden file, its bytes) for all. The folder must have been prepared."""
    for sample in IMPORTS:
        yield f"{sample}.flatpoint", (case.folder / f"{sample}.flatpoint").read_bytes()
    for name, command in COMMANDS.items():
        answer = run(*command.split(), cwd=case.folder)
        yield f"{name}.txt", f"$ flatpoint {command}\n".encode() + answer.as_golden()
        (case.folder / "out.flatpoint").unlink(missing_ok=True)
