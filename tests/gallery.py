"""Writes the gallery's page, and its small pictures: ``python tests/gallery.py --pictures``.

Without an option, ``examples/README.md`` is written from the table below and from the docstrings
of the examples: their first line, and what follows "Should reach:". With ``--pictures``, the small
pictures are made, too, of what the examples have saved there (``example-output`` by default), where
that is: ``example-output/<name>/<picture>`` becomes ``docs/images/gallery/<name>.png``.
"""

import argparse
import ast
import io
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES, SMALL = ROOT / "examples", ROOT / "docs" / "images" / "gallery"
PAGE = EXAMPLES / "README.md"
WIDTH, MOST_BYTES, MOST_LINES = 360, 40_000, 130

# Section by section, each example with the picture that stands for it.
GALLERY = {
    "Linear models": {
        "linear_regression": "weights.png",
        "perceptron_adaline": "perceptron-versicolor-virginica.png",
        "softmax_regression": "weights.png",
        "svm_hinge": "street.png",
    },
    "Networks and how they learn": {
        "xor": "two-layers.png",
        "mlp_digits": "curves.png",
        "activations": "losses.png",
        "descent": "gradient.png",
        "gradients": "steps.png",
        "initialisation": "all-activations.png",
        "overfitting": "regularisation.png",
        "hyperparameters": "random.png",
    },
    "Images and codes": {
        "lenet_digits": "receptive-fields.png",
        "autoencoders": "numbers-map.png",
    },
    "Words and sequences": {
        "word_embeddings": "words.png",
        "char_lstm": "bits.png",
        "seq2seq_attention": "reverse.png",
        "crf_tagger": "CRF.png",
        "copy_task": "heads.png",
    },
}

HEAD = """\
# Gallery

Whole programs, one file each, of fewer than {lines} lines. Each trains on real data that come with
scikit-learn or Python, or on data that it makes, so nothing is downloaded; it prints its figures
and saves its pictures in `example-output/<name>/` (or where `--out` says):

```sh
pip install '.[demo]'
python examples/xor.py
```
"""

FOOT = """
## To add one

Write `examples/<name>.py` with a docstring whose first line says what it shows, and that ends with
what it "Should reach:". Add it to the table in `tests/gallery.py` with the picture that stands for
it, and a test of its printed figures to `tests/test_examples.py`. Run it, and then
`python tests/gallery.py --pictures`, which writes this page and `docs/images/gallery/<name>.png`.
"""


def docstring(name):
    """The first line of an example's docstring, and what it should reach."""
    text = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text("utf-8"))) or ""
    found = re.search(r"\n\nShould reach: (.+?)(?:\n\n|\Z)", text, re.DOTALL)
    return text.partition("\n")[0], " ".join(found[1].split()) if found else ""


def page():
    """The page as it should be."""
    parts = [HEAD.format(lines=MOST_LINES)]
    for section, examples in GALLERY.items():
        parts += [f"\n## {section}\n\n", "| | example | should reach |\n| --- | --- | --- |\n"]
        for name in examples:
            title, reach = docstring(name)
            image = f'<img src="../docs/images/gallery/{name}.png" width="180" alt="{name}">'
            parts.append(f"| {image} | [{title}]({name}.py) | {reach} |\n")
    return "".join([*parts, FOOT])


def shrink(source, target):
    """A picture of at most `MOST_BYTES`, with as many colours as that allows."""
    from PIL import Image

    picture = Image.open(source).convert("RGB")
    height = round(picture.height * WIDTH / picture.width)
    picture = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    for colours in (256, 128, 64, 32, 16):
        png = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(png, "png", optimize=True)
        if png.tell() < MOST_BYTES:
            target.write_bytes(png.getvalue())
            return
    raise ValueError(f"{source} is too large even with {colours} colours")


def main():
    parser = argparse.ArgumentParser(description="Write the gallery's page.")
    parser.add_argument("--pictures", type=Path, nargs="?", const=ROOT / "example-output",
                        help="where the examples have saved theirs")  # fmt: skip
    given = parser.parse_args()
    if given.pictures is not None:
        SMALL.mkdir(parents=True, exist_ok=True)
        for name, picture in [pair for part in GALLERY.values() for pair in part.items()]:
            source = given.pictures / name / picture
            if source.exists():
                shrink(source, SMALL / f"{name}.png")
            else:
                print(f"no {source}")
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
