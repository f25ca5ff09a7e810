"""The house: imports run downwards and never in a circle, experiments stay outside, a memory's or conditioner's name
stays in its own file, files stay short. Only reads the source.

The lists of exceptions hold what breaks a rule today. They can only shrink: an entry that is not needed fails too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "outofsight"
# from the bottom up: a module imports from lower rows and its own sub-package only, not from its neighbours in the row
LAYERS = (
    "errors",
    "io records fingerprints",
    "local_code processes progress provenance",
    "cameras",
    "framing",
    "video",
    "clips",
    "datasets memory",
    "models.conditioners",  # they act on the frames that a memory lays out
    "models",
    "sampling",
    "components",
    "session",
    "pipeline",
    "worlds.engine",
    "worlds.content worlds.small",
    "generation training evaluation viewer player worlds",
    "recipes experiments",
    "study",
    "commands",
    "cli",
    "__main__",
)
ROW = {unit: row for row, units in enumerate(LAYERS) for unit in units.split()}
ROW[""] = len(LAYERS)  # the package itself hands out names of high rows
NEIGHBOURS_ALLOWED = {("training", "evaluation")}
OUTSIDE = {"experiments", "recipes", "study"}  # only commands import them
MAY_NAME = {
    "memory",
    "models.conditioners",
    *(f"models.{file}" for file in ["presets", "checkpoints", "naming", "convert"]),
}
MOST_LINES = 500
_KINDS = ("Memory", "Conditioner")


def pairs(table: str) -> set[tuple[str, str]]:
    """``from: to to`` on each line."""
    return {
        (line.split(":")[0].strip(), to) for line in table.strip().splitlines() for to in line.split(":")[1].split()
    }


KNOWN_EXCEPTIONS = pairs("""
    evaluation.benchmark: generation.outputs
    evaluation.networks: generation.record
    evaluation.predictions: generation.outputs
    training.caption_data: worlds.catalogue
    viewer.collect: evaluation.baselines evaluation.measure evaluation.metrics evaluation.scores
    viewer.given: evaluation.traces
    viewer.retrieval: evaluation.clip evaluation.metrics evaluation.traces
    viewer.runs: generation.outputs generation.record
    viewer.sheets: evaluation.metrics.psnr
    viewer.truth: evaluation.clip generation.record
""")
KNOWN_CIRCLES = pairs("""
    evaluation: evaluation.metrics
""")
KNOWN_USERS_OF_OUTSIDE = pairs("""
    study.page: recipes.micro
    study.rows: recipes.micro
""")
KNOWN_NAMES = pairs("""
    memory.hydra: fov
    models.transformer: hydra pose
    training.assemble: rendered
    training.config: hydra
    training.clip_source: rendered
    training.dataset: rendered
    training.shards: rendered
    training.transformer: fov rendered
""")
# a name that is also a common word and means something else there: a field of view, cameras in words
SAME_WORD = pairs("""
    generation.request: pose
    viewer.data: fov
    viewer.runs: pose
    viewer.truth: pose
    worlds.engine.framing: fov
""")
KNOWN_LONG: set[str] = set()


@cache
def modules() -> dict[str, Path]:
    """Files by module name without the package's own (``models.block``; a sub-package's is its ``__init__``)."""
    found = {}
    for file in sorted(ROOT.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below, without what stands under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for other in child.orelse:
                yield other
                yield from at_run_time(other)
        else:
            yield child
            yield from at_run_time(child)


def imports(module: str) -> set[str]:
    """The package's modules that a module imports, inside functions too; "" is the package itself."""
    package = module.split(".") if modules()[module].name == "__init__.py" else module.split(".")[:-1]
    wanted: set[str] = set()
    for node in at_run_time(tree(module)):
        if isinstance(node, ast.Import):
            wanted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".") if node.module else []
            if node.level:
                parts = ["outofsight", *filter(None, package[: len(package) - node.level + 1]), *parts]
            for alias in node.names:
                deeper = ".".join([*parts, alias.name])
                if deeper != "outofsight.__version__":
                    wanted.add(deeper if deeper.removeprefix("outofsight.") in modules() else ".".join(parts))
    ours = {name.removeprefix("outofsight").removeprefix(".") for name in wanted if name.split(".")[0] == "outofsight"}
    return ours & modules().keys()


def unit(module: str) -> str:
    """The row entry that a module belongs to: the longest that its name begins with."""
    parts = module.split(".")
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    found = next((name for name in names if name in ROW), None)
    assert found is not None, f"{module} stands in no row of LAYERS: say where its sub-package belongs"
    return found


@cache
def edges() -> list[tuple[str, str]]:
    return [(module, to) for module in modules() for to in sorted(imports(module))]


def hold(found: set[tuple[str, str]], known: set[tuple[str, str]], rule: str) -> None:
    """Fail for what breaks a rule and is not known, and for what is known and breaks it no longer."""
    new, gone = sorted(found - known), sorted(known - found)
    assert not new, f"{rule}; these do not keep to it: {new}"
    assert not gone, f"{rule}; these exceptions are no longer needed, take them out of the list: {gone}"


def test_imports_run_downwards() -> None:
    found = set()
    for module, to in edges():
        here, there = unit(module), unit(to)
        if (
            here != there
            and there not in OUTSIDE
            and (here, there) not in NEIGHBOURS_ALLOWED
            and ROW[there] >= ROW[here]
        ):
            found.add((module, to))
    hold(found, KNOWN_EXCEPTIONS, "a module imports from lower rows of LAYERS only")


def test_sub_packages_do_not_import_in_circles() -> None:
    def folder(module: str) -> str:
        return module if modules()[module].name == "__init__.py" else module.rpartition(".")[0] or module

    below: dict[str, set[str]] = {}
    for edge in set(edges()) - KNOWN_EXCEPTIONS - KNOWN_USERS_OF_OUTSIDE:
        below.setdefault(folder(edge[0]), set()).add(folder(edge[1]))

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = below.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    found = {(a, b) for a in below for b in reached(a) if a < b and a in reached(b)}
    hold(found, KNOWN_CIRCLES, "sub-packages do not import one another in a circle")


def test_only_commands_import_experiments_recipes_and_study() -> None:
    found = {(a, b) for a, b in edges() if unit(b) in OUTSIDE and unit(a) not in {unit(b), "commands"}}
    hold(found, KNOWN_USERS_OF_OUTSIDE, "only commands import experiments, recipes and study")


def registered_names() -> dict[str, str]:
    """The module that each memory's and conditioner's ``name`` stands in."""
    found = {}
    for module in modules():
        if unit(module) in {"memory", "models.conditioners", "experiments"}:
            kinds = (node for node in tree(module).body if isinstance(node, ast.ClassDef))
            for kind in (node for node in kinds if any(ast.unparse(base).endswith(_KINDS) for base in node.bases)):
                for node in kind.body:
                    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
                        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                        if ast.unparse(target) == "name":
                            found[str(node.value.value)] = module
    return found


def test_a_memory_or_conditioner_is_named_in_its_own_file_only() -> None:
    names = registered_names()
    assert {"hydra", "fov", "full", "pose", "rays"} <= names.keys()
    found = set()
    for module in modules().keys() - MAY_NAME:
        if unit(module) not in {"recipes", "study"}:
            nodes = list(ast.walk(tree(module)))
            docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
            texts = {node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings}
            found |= {(module, name) for name, home in names.items() if name in texts and home != module}
    hold(found, KNOWN_NAMES | SAME_WORD, "a memory's or conditioner's name stands in its own file")


def test_no_file_is_long() -> None:
    found = {(module, "long") for module, file in modules().items() if len(file.read_text().splitlines()) > MOST_LINES}
    hold(found, {(module, "long") for module in KNOWN_LONG}, f"no file has over {MOST_LINES} lines")
