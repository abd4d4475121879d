"""The figures that are returned. Imported by `style`, when matplotlib is first needed."""

from io import BytesIO

from matplotlib.figure import Figure


class Sheet(Figure):
    """A figure that notebooks show although pyplot doesn't know it."""

    def _repr_png_(self) -> bytes:
        png = BytesIO()
        self.savefig(png, format="png")
        return png.getvalue()
