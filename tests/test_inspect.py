"""Listings, formulas, graphs for other tools, explanations and profiles."""

import io
import re

import networkx
import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc.core.text import fitted, formula
from graphc.inspect import explain, to_dot, to_networkx

LONG = 20_000  # operations of a chain that recursion would not survive


def classifier(**options):
    """A softmax classifier's training step, and a batch for it."""
    x, y = T.fmatrix("x"), T.ivector("y")
    W = graphc.shared(np.zeros((6, 3), "float32"), name="W")
    b = graphc.shared(np.zeros(3, "float32"), name="b")
    p = T.nnet.softmax(T.dot(x, W) + b)
    loss = -T.mean(T.log(p)[T.arange(y.shape[0]), y])  # the line of the logarithm
    updates = [(v, v - 0.1 * g) for v, g in zip((W, b), graphc.grad(loss, [W, b]))]
    f = graphc.function([x, y], loss, updates=updates, name="step", **options)
    random = np.random.RandomState(0)
    return f, random.rand(8, 6).astype("float32"), random.randint(0, 3, 8).astype("int32")


def chain(length):
    x = T.dscalar("x")
    y = x
    for _ in range(length):
        y = T.sin(y)
    return y


# Formulas ---------------------------------------------------------------------------------------

x, y, v = T.dmatrix("x"), T.dmatrix("y"), T.dvector("v")
i = T.lscalar("i")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (x + y * x, "x + y * x"),
        ((x + y) * x, "(x + y) * x"),
        (x - (y - x), "x - (y - x)"),
        (x - y - x, "x - y - x"),
        (x / (y * x), "x / (y * x)"),
        (x * -y, "x * -y"),
        (-(x + y), "-(x + y)"),
        ((-x) ** 2, "(-x) ** 2.0"),
        (-(x**2), "-x ** 2.0"),
        ((x**y) ** x, "(x ** y) ** x"),
        (T.dot(x, y) + v, "x @ y + v"),
        (T.dot(x.T, y - x), "x.T @ (y - x)"),
        (T.and_(x > 0, y <= x), "(x > 0.0) & (y <= x)"),
        (T.sum(x), "sum(x)"),
        (T.sum(x, axis=1), "sum(x, axis=1)"),
        (v.dimshuffle(0, "x") * x, "v[:, None] * x"),
        (x.dimshuffle(1, "x", 0), "x.dimshuffle(1, 'x', 0)"),
        (T.cast(i, "float32"), "float32(i)"),
        (x.shape[0] + 1, "x.shape[0] + 1"),
        (x[0], "x[0]"),
        (x[1:3], "x[1:3]"),
        (x[:, i], "x[:, i]"),
        (x[i * 20 : (i + 1) * 20], "x[i * 20:(i + 1) * 20]"),
        (x[i:], "x[i:]"),
        (v[None, :2], "v[None, :2]"),
        (x[T.arange(x.shape[0]), T.cast(v, "int64")], "x[arange(x.shape[0]), int64(v)]"),
        (T.set_subtensor(v[1:3], 0), "set_subtensor(v[1:3], 0.0)"),
        (T.inc_subtensor(x[i], v), "inc_subtensor(x[i], v)"),
        (T.switch(x > y, x, 0), "switch(x > y, x, 0.0)"),
        (T.ones((2, 2)) * 3 + T.dvector(), "alloc(1.0, 2, 2) * 3.0 + <float64[?]>"),
    ],
)
def test_formulas_are_written_as_people_write_them(expression, text):
    assert formula(expression, -1) == text


def test_formulas_stop_at_names_and_at_a_depth():
    h = T.tanh(x)
    h.name = "h"
    assert formula(h + 1) == "h + 1.0"
    assert formula(h) == "tanh(x)"
    assert formula(h + 1, through=True) == "tanh(x) + 1.0"
    assert formula(T.exp(T.exp(T.exp(x))), 2) == "exp(exp(…))"


def test_formulas_of_graphs_that_share_much_stay_short():
    z = x
    for _ in range(200):
        z = z * z + z
    assert len(formula(z, -1, width=80)) < 400
    assert len(fitted(z, 80)) <= 80


def test_formulas_and_listings_of_long_chains_need_no_recursion():
    deep = chain(LONG)
    assert len(formula(deep, -1)) < 1000
    text = graphc.dprint(deep, file="str")
    assert text.splitlines()[-1] == f"… {9901}+ more lines; most=None shows all, depth=3 the top"
    assert to_networkx(deep).number_of_nodes() == LONG + 1
    assert graphc.pp(deep).startswith("sin(")


# Listings ---------------------------------------------------------------------------------------


def test_a_shared_expression_is_listed_once():
    e = T.exp(x)
    e.name = "e"
    expected = """\
true_div
├─ exp 'e' [A]
│  └─ x
└─ add
   ├─ sum(axis=0)
   │  └─ exp 'e' [A]
   └─ 1.0"""
    assert graphc.dprint(e / (e.sum(axis=0) + 1), file="str") == expected


def test_types_lines_and_depth_are_shown_on_request():
    z = T.sum(x, axis=0) + v
    text = graphc.dprint(z, print_type=True, print_where=True, depth=1, file="str")
    assert re.fullmatch(r"add: float64\[\?\]  # test_inspect.py:\d+ …", text)


def test_lists_functions_and_updates_have_titles(capsys):
    w = graphc.shared(1.0, name="w")
    f = graphc.function([v], [T.sum(v), v * w], updates=[(w, w + 1)])
    graphc.dprint(f)
    titles = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert titles == ["output 0", "output 1", "w :="]
    graphc.dprint([(w, w + 1)])
    assert capsys.readouterr().out.splitlines()[0] == "w :="
    file = io.StringIO()
    graphc.dprint({"a": v, "b": w}, file=file)
    assert file.getvalue() == "a :=\n   v\nb :=\n   w\n"


def test_a_function_shows_its_optimised_graph_unless_asked_for_the_declared_one():
    f, *_ = classifier(mode="native")
    assert "logsoftmax" in graphc.dprint(f, file="str").split("W :=")[0]
    assert "logsoftmax" not in graphc.dprint(f, file="str", declared=True).split("W :=")[0]
    assert f.dprint(file="str") == graphc.dprint(f, file="str")


def test_something_else_is_refused_with_a_hint():
    with pytest.raises(TypeError, match="of type int has no graph"):
        graphc.dprint(3)


def test_pp_gives_a_line_per_root():
    w = graphc.shared(1.0, name="w")
    f = graphc.function([v], T.sum(v), updates=[(w, w * 2)], mode="numpy")
    assert graphc.pp(f).splitlines() == ["sum(v)", "w := w * 2.0"]


# Graphs for other tools -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_networks_have_what_the_graph_has(mode):
    f, *_ = classifier(mode=mode)
    graph = f.to_networkx()
    assert networkx.is_directed_acyclic_graph(graph)
    data = dict(graph.nodes(data=True))
    inputs = sorted(d["name"] for d in data.values() if d["kind"] in ("input", "shared"))
    assert inputs == ["W", "b", "x", "y"]
    assert sorted(d["root"] for d in data.values() if d["root"]) == ["W :=", "b :=", "output"]
    dot = next(k for k, d in data.items() if d["op"] == "dot")
    assert data[dot]["dtype"] == "float32" and data[dot]["shape"] == (None, None)
    assert data[dot]["where"].startswith("test_inspect.py:")


def test_an_operand_that_enters_twice_is_one_edge_with_two_positions():
    graph = to_networkx(x - x)
    assert list(graph.edges(data="operands")) == [(0, 1, (0, 1))]


def test_dot_text_escapes_names():
    strange = T.dscalar('a "quoted" \\ name')
    assert '[label="a \\"quoted\\" \\\\ name\\nfloat64[]"' in to_dot(strange)
    assert to_dot(x - y).count("->") == 2


# Explanations -----------------------------------------------------------------------------------


def test_before_the_first_call_an_explanation_says_what_is_known():
    f, *_ = classifier(mode="native")
    text = str(f.explain())
    assert "call the function once, then look again" in text
    assert "nothing has been compiled for it yet" in text
    rules = str(f.explain()["rules"])
    assert "log_softmax" in rules
    assert "# the line of the logarithm" in rules
    assert "log(softmax(x @ W + b, axis=1))   ->   logsoftmax(x @ W + b, axis=1)" in rules


def test_after_a_call_it_tells_of_steps_lines_memory_and_cost():
    f, images, labels = classifier(mode="native")
    f(images, labels)
    explanation = f.explain()
    steps = explanation["steps"]
    assert steps.title == "steps for x 8x6, y 8"
    assert len(steps.lines) == len(f.plan.steps)
    lines = str(explanation["your lines"])
    assert "p = T.nnet.softmax(T.dot(x, W) + b)" in lines and "step" in lines
    assert "updated in place" in str(explanation["memory"])
    assert "1 set of sizes" in str(explanation["what it cost"])
    f(images[:5], labels[:5])
    assert f.explain()["steps"].title == "steps for x 5x6, y 5"
    full = f.explain(full=True)
    titles = [s.title for s in full.sections]
    assert "steps for x 8x6, y 8" in titles and "steps for x 5x6, y 5" in titles


def test_parts_whose_lengths_depend_on_values_are_told_apart():
    data = graphc.shared(np.arange(10.0), name="data")
    f = graphc.function([i], T.sum(data[i * 4 : (i + 1) * 4]), mode="native")
    f(0), f(2)
    titles = [s.title for s in explain(f, full=True).sections if s.title.startswith("steps")]
    assert len(set(titles)) == len(titles) == 2


def test_the_number_of_operations_goes_down():
    f, *_ = classifier(mode="native")
    declared, optimised = f.explain()["what became"].lines[:2]
    assert int(declared.split()[1]) > int(optimised.split()[1])


def test_an_interpreted_function_says_so():
    f, images, labels = classifier(mode="numpy")
    f(images, labels)
    assert "interpreted as it was declared" in str(f.explain())


def test_an_unknown_section_is_an_error_that_names_the_others():
    f, *_ = classifier(mode="native")
    with pytest.raises(KeyError, match="what it computes"):
        f.explain()["no such"]


def test_explanations_without_timings_are_the_same_every_time():
    texts = []
    for _ in range(2):
        f, images, labels = classifier(mode="native")
        f(images, labels)
        texts.append([str(s) for s in f.explain().sections if s.title != "what it cost"])
    assert texts[0] == texts[1]


# Kernels and plans ------------------------------------------------------------------------------


def test_kernels_can_be_read_in_every_form():
    f, images, labels = classifier(mode="native")
    f(images, labels)
    for kernel in f.kernels:
        assert kernel.source.startswith("def kernel(block, low, high):")
        assert "define" in kernel.llvm
        assert "ret" in kernel.asm
    assert f"{len(f.plan.steps)} steps" in str(f.plan)


def test_before_the_first_call_there_are_no_kernels_and_the_error_says_why():
    f, *_ = classifier(mode="native")
    with pytest.raises(RuntimeError, match="call the function once"):
        f.kernels  # noqa: B018


# Profiles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_a_profile_counts_every_step_of_every_call(mode):
    f, images, labels = classifier(mode=mode, profile=True)
    plain, *_ = classifier(mode=mode)
    for _ in range(3):
        assert f(images, labels) == plain(images, labels)
    profile = f.profile
    assert profile.calls == 3 and profile.records
    assert all(r.calls == 3 and r.seconds > 0 for r in profile.records)
    assert 0 < sum(r.seconds for r in profile.records) <= profile.seconds
    by_line = profile.by_line()
    assert sum(by_line.values()) == pytest.approx(sum(r.seconds for r in profile.records))
    assert any(frame and frame[0].endswith("test_inspect.py") for frame in by_line)
    text = profile.summary()
    assert text.splitlines()[0].startswith("function 'step': 3 calls, ")
    assert "by line of your program" in text and "# the line of the logarithm" in text


@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_a_profile_knows_the_work_of_a_product(mode):
    a, b = T.fmatrix("a"), T.fmatrix("b")
    f = graphc.function([a, b], T.dot(a, b), mode=mode, profile=True)
    f(np.ones((64, 32), "float32"), np.ones((32, 16), "float32"))
    most = max(f.profile.records, key=lambda r: r.flops)
    assert most.flops == 2 * 64 * 32 * 16
    assert most.bytes >= 4 * (64 * 32 + 32 * 16 + 64 * 16)
    assert most.gflops > 0 and most.gigabytes > 0


def test_profiles_of_several_sizes_are_told_apart():
    f, images, labels = classifier(mode="native", profile=True)
    f(images, labels), f(images[:5], labels[:5])
    assert {r.sizes for r in f.profile.records} == {"x 8x6, y 8", "x 5x6, y 5"}
    assert "(x 5x6, y 5)" in f.profile.summary()


def test_the_setting_profiles_every_function():
    with graphc.config(profile=True):
        f, images, labels = classifier()
    f(images, labels)
    assert f.profile.calls == 1


def test_without_profiling_asking_for_a_profile_says_how_to_get_one():
    f, *_ = classifier()
    with pytest.raises(TypeError, match="profile=True"):
        f.profile  # noqa: B018


def test_a_profile_of_no_calls_is_a_line():
    f, *_ = classifier(profile=True)
    assert str(f.profile) == "function 'step': 0 calls, 0.0000 s"


# Loops and choices ------------------------------------------------------------------------------


def recurrent(**options):
    """A recurrent network's outputs and the gradient of its weights."""
    x, h, W = T.dmatrix("x"), T.dvector("h"), T.dmatrix("W")

    def fn(x_t, h_before):
        return T.tanh(T.dot(h_before, W) + x_t)  # the line of the step

    rows, _ = graphc.scan(fn, x, h, name="rnn")
    g = graphc.grad((rows**2).sum(), W)
    f = graphc.function([x, h, W], [rows, g], **options)
    random = np.random.RandomState(0)
    return f, rows, [random.rand(6, 3), random.rand(3), random.rand(3, 3)]


def test_a_loop_is_listed_with_its_operands_and_its_body_once():
    _, rows, _ = recurrent(mode="numpy")
    expected = """\
add
├─ subtensor(window=(('i', 0), ('a',)))
│  ├─ scan(rnn: rows of tanh(h[t-1] @ W + x[t])) [A]
│  │  ├─ x[t] in x
│  │  ├─ h[t-1] from h
│  │  ├─ W
│  │  └─ each step:
│  │     └─ h[t] := tanh
│  │        └─ add
│  │           ├─ dimshuffle(pattern=(1,))
│  │           │  └─ dot
│  │           │     ├─ dimshuffle(pattern=('x', 0))
│  │           │     │  └─ h[t-1]
│  │           │     └─ W
│  │           └─ x[t]
│  └─ -1
└─ sum(axis=0)
   └─ scan(rnn: rows of tanh(h[t-1] @ W + x[t])) [A]"""
    assert graphc.dprint(rows[-1] + rows.sum(axis=0), file="str") == expected
    assert graphc.pp(rows[-1]) == "scan(rnn: rows of tanh(h[t-1] @ W + x[t]), x, h, W)[-1]"
    assert "scan(rnn: rows of tanh(h[t-1] @ W + x[t]))" in to_dot(rows[-1])
    labels = [data["label"] for _, data in to_networkx(rows).nodes(data=True)]
    assert labels[-1] == "scan(rnn: rows of tanh(h[t-1] @ W + x[t]))"


def test_leaves_without_a_name_are_called_as_fn_calls_them():
    n, s = T.lscalar("n"), T.dvector("s")
    total = graphc.reduce(lambda row, sofar: sofar + row, s * 2, 0.0)[0]
    assert "scan(last sofar, (s * 2.0), 0.0)" in graphc.pp(total)
    start = dict(initial=s, taps=[-2, -1])
    z, _ = graphc.scan(lambda a, b, c: a + b * c, None, start, s.sum(), n_steps=n)
    assert graphc.pp(z) == "scan(rows of s[t-2] + s[t-1] * c, n_steps=n, s[:2], sum(s))"
    w, _ = graphc.scan(lambda a, b: a * b, dict(input=s, taps=[0, 1]))
    assert graphc.pp(w).startswith("scan(rows of s[t] * s[t+1], ")


def test_other_results_of_a_loop_and_its_condition_are_told():
    c = T.dscalar("c")
    y, _ = graphc.scan(lambda y: (2 * y, graphc.until(y > 100)), outputs_info=c, n_steps=50)
    lines = graphc.dprint(y, file="str").splitlines()
    assert "scan(number of steps)" in lines[2] and "n_steps: 50" in lines[3]
    assert any("until: gt" in line for line in lines)


def test_equal_leaves_have_the_names_of_their_loop():
    a, b = T.dvector("a"), T.dvector("b")
    first = graphc.scan(lambda s, h: T.exp(s) + h, a, 0.0)[0]
    second = graphc.scan(lambda s, k: T.exp(s) * k, b, 1.0)[0]
    f = graphc.function([a, b], [first, second], mode="native")
    text = graphc.dprint(f, file="str")
    assert "a[t] in a" in text and "b[t] in b" in text
    assert text.count("└─ a[t]") == text.count("└─ b[t]") == 1
    assert text.count("─ h\n") == text.count("─ k\n") == 1


def test_choices_are_listed_by_what_their_operands_are_for():
    y = graphc.ifelse(v[0] > 0, T.exp(v), -v)
    lines = graphc.dprint(y, file="str").splitlines()
    leads = [line[3:].split()[0] for line in lines if line[:2] in ("├─", "└─")]
    assert leads == ["if", "then", "else"]
    assert graphc.pp(y) == "ifelse(v[0] > 0.0, exp(v), -v)"


def test_plans_kernels_and_explanations_go_into_loops():
    f, _, arguments = recurrent(mode="native")
    f(*arguments)
    steps = list(f.plan.all_steps())
    inner = [step for number, step in steps if len(number) > 1]
    assert inner and sum(s.routine == "loop" for _, s in steps) == 2
    text = str(f.plan)
    assert f"{len(f.plan.steps)} steps and {len(inner)} in loops" in text.splitlines()[0]
    loop = next(number for number, s in steps if s.routine == "loop")[0]
    assert f"{loop}.0" in text and f.plan.all_arena_bytes > f.plan.arena_bytes
    names = [k.name for k in f.kernels]
    assert "mul, add, tanh" in names or "add, tanh" in names
    assert len({k.compiled.address for k in f.kernels}) == len(f.kernels)
    explanation = f.explain()
    assert len(explanation["steps"].lines) == len(steps)
    assert "# the line of the step" in str(explanation["your lines"])
    assert "in loops" in str(explanation["what became"])
    own = sum(int(row.split()[0]) for row in explanation["what it cost"].lines[1:-1])
    assert own >= len(steps) - sum(s.routine == "host" for _, s in steps)
    g = graphc.function([v], graphc.ifelse(v[0] > 0, T.exp(v), T.log(-v)), mode="native")
    g(np.ones(2))
    assert {"exp", "neg, log"} <= {k.name for k in g.kernels}
    assert "then: 1 step" in str(g.plan) and "else: 1 step" in str(g.plan)


def test_a_profile_goes_into_loops():
    f, _, arguments = recurrent(mode="native", profile=True)
    plain, _, _ = recurrent(mode="native")
    for _ in range(4):
        for found, expected in zip(f(*arguments), plain(*arguments)):
            np.testing.assert_array_equal(found, expected)
    loops = [r for r in f.profile.records if r.kind == "loop"]
    assert len(loops) == 2
    for r in loops:
        assert r.calls == 4 and r.inner
        assert all(i.calls == 4 * 6 and i.seconds > 0 for i in r.inner)
        assert sum(i.seconds for i in r.inner) <= r.seconds
    assert sum(f.profile.by_line().values()) == pytest.approx(
        sum(r.seconds for r in f.profile.records)
    )
    assert f"{loops[0].number}.0" in f.profile.summary()


def test_a_profiled_loop_names_the_step_that_failed():
    table, rows = T.dvector("table"), T.lvector("rows")
    y, _ = graphc.scan(lambda i, s: s + table[i], rows, 0.0)
    f = graphc.function([table, rows], y, mode="native", profile=True)
    np.testing.assert_array_equal(f(np.arange(3.0), np.array([1, 2])), [1, 3])
    with pytest.raises(graphc.core.errors.BadIndexError, match="index 7"):
        f(np.arange(3.0), np.array([1, 7]))


def test_a_profile_of_a_loop_with_steps_of_the_host():
    z = T.dmatrix("z")
    y, _ = graphc.scan(lambda row, s: T.sort(s + row), z, T.zeros(3))
    f = graphc.function([z], y, mode="native", profile=True)
    z_value = np.random.RandomState(0).rand(5, 3)
    f(z_value)
    (loop,) = [r for r in f.profile.records if r.kind == "loop"]
    (host,) = [r for r in loop.inner if r.kind == "host"]
    assert host.calls == 5 and 0 < host.seconds < loop.seconds
