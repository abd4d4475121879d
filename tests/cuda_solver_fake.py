"""What cuSOLVER's routines do, as documented, done by LAPACK on memory at addresses."""

import numpy as np
from scipy.linalg import blas, lapack

# The arguments behind the handle, as nvmath-python's low-level bindings name them.
SIGNATURES = {
    "potrf": "uplo n a lda workspace lwork dev_info",
    "potrf_buffer_size": "uplo n a lda",
    "getrf": "m n a lda workspace dev_ipiv dev_info",
    "getrf_buffer_size": "m n a lda",
    "getrs": "trans n nrhs a lda dev_ipiv b ldb dev_info",
    "geqrf": "m n a lda tau workspace lwork dev_info",
    "geqrf_buffer_size": "m n a lda",
    "orgqr": "m n k a lda tau work lwork info",
    "orgqr_buffer_size": "m n k a lda tau",
    "syevd": "jobz uplo n a lda w work lwork info",
    "syevd_buffer_size": "jobz uplo n a lda w",
    "gesvd": "jobu jobvt m n a lda s u ldu vt ldvt work lwork rwork info",
    "gesvd_buffer_size": "m n",
    "trsm": "side uplo trans diag m n alpha a lda b ldb",
    "potrf_batched": "uplo n aarray lda info_array batch_size",
    "getrf_batched": "n a lda p info batch_size",
    "getrs_batched": "trans n nrhs aarray lda dev_ipiv barray ldb info batch_size",
    "trsm_batched": "side uplo trans diag m n alpha a lda b ldb batch_count",
}


POINTERS = ("a", "tau", "w")


def wanted(routine, given):
    """How many elements of work area a routine wants."""
    names = SIGNATURES[f"{routine}_buffer_size"].split()
    return 40 + 7 * sum(given[n] for n in names if n not in POINTERS)


class Solvers:
    """The library over some memory: `numbers(address, dtype, count)` are values there."""

    def __init__(self, numbers):
        self.numbers, self.calls = numbers, []

    def room(self, routine, dtype, numbers):
        """More than a routine needs, and for each size another number."""
        names = SIGNATURES[f"{routine}_buffer_size"].split()
        given = dict(zip(names, numbers, strict=True))
        assert all(given[n] == 0 for n in POINTERS if n in given)
        return wanted(routine, given)

    def solve(self, routine, dtype, arguments):
        of_host = ("alpha", "info") if routine == "getrs_batched" else ("alpha",)
        names = [n for n in SIGNATURES[routine].split() if n not in of_host]
        given = dict(zip(names, arguments, strict=True))
        self.calls.append((routine, dtype, given))
        self.dtype, self.given = dtype, given
        if "lwork" in given:
            assert given["lwork"] >= wanted(routine, given)
            room = self.numbers(given.get("workspace", given.get("work")), dtype, given["lwork"])
            room[:] = np.nan  # it is the routine's own
        code = getattr(self, routine)(**given)
        if code is not None and not routine.endswith("batched"):
            self.numbers(given.get("dev_info", given.get("info")), "int32", 1)[0] = code

    def lapack(self, name):
        return getattr(lapack, {"float32": "s", "float64": "d"}[self.dtype] + name)

    def matrix(self, address, rows, columns, lead):
        """Columns of a matrix, `lead` values from one to the next."""
        assert lead >= max(rows, 1) and address % np.dtype(self.dtype).itemsize == 0
        flat = self.numbers(address, self.dtype, (columns - 1) * lead + rows)
        strides = flat.itemsize, lead * flat.itemsize
        return np.lib.stride_tricks.as_strided(flat, (rows, columns), strides)

    def potrf(self, uplo, n, a, lda, workspace, lwork, dev_info):
        x = self.matrix(a, n, n, lda)
        x[...], code = self.lapack("potrf")(x.copy(), lower=uplo == 0, clean=0)
        return code

    def getrf(self, m, n, a, lda, workspace, dev_ipiv, dev_info):
        x = self.matrix(a, m, n, lda)
        x[...], pivots, code = self.lapack("getrf")(x.copy())
        self.numbers(dev_ipiv, "int32", min(m, n))[:] = pivots + 1
        return code

    def getrs(self, trans, n, nrhs, a, lda, dev_ipiv, b, ldb, dev_info):
        right, pivots = self.matrix(b, n, nrhs, ldb), self.numbers(dev_ipiv, "int32", n) - 1
        x = self.matrix(a, n, n, lda).copy()
        right[...], code = self.lapack("getrs")(x, pivots, right.copy(), trans=trans)
        return code

    def geqrf(self, m, n, a, lda, tau, workspace, lwork, dev_info):
        x = self.matrix(a, m, n, lda)
        x[...], factors, _, code = self.lapack("geqrf")(x.copy())
        self.numbers(tau, self.dtype, min(m, n))[:] = factors
        return code

    def orgqr(self, m, n, k, a, lda, tau, work, lwork, info):
        assert m >= n >= k
        x, factors = self.matrix(a, m, n, lda), self.numbers(tau, self.dtype, k)
        x[...], _, code = self.lapack("orgqr")(x.copy(), factors.copy())
        return code

    def syevd(self, jobz, uplo, n, a, lda, w, work, lwork, info):
        x = self.matrix(a, n, n, lda)
        values, vectors, code = self.lapack("syevd")(x.copy(), compute_v=jobz, lower=uplo == 0)
        x[...] = vectors if jobz else np.nan
        self.numbers(w, self.dtype, n)[:] = values
        return code

    def gesvd(self, jobu, jobvt, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, rwork, info):
        assert m >= n and jobu == jobvt and rwork == 0
        x, job = self.matrix(a, m, n, lda), chr(jobu)
        if np.isnan(x).any():  # LAPACK would say so on the terminal
            self.numbers(s, self.dtype, n)[:] = np.nan
            return 0
        left, values, right, code = self.lapack("gesvd")(
            x.copy(), compute_uv=job != "N", full_matrices=job == "A"
        )
        x[...] = np.nan
        self.numbers(s, self.dtype, n)[:] = values
        if job != "N":
            self.matrix(u, m, m if job == "A" else n, ldu)[...] = left
            self.matrix(vt, n, n, ldvt)[...] = right
        return code

    def trsm(self, side, uplo, trans, diag, m, n, a, lda, b, ldb):
        size = n if side else m
        x, right = self.matrix(a, size, size, lda), self.matrix(b, m, n, ldb)
        multiply = getattr(blas, {"float32": "s", "float64": "d"}[self.dtype] + "trsm")
        right[...] = multiply(1.0, x.copy(), right.copy(), side=side, lower=uplo == 0,
                              trans_a=trans, diag=diag)  # fmt: skip

    def each(self, single, count, tables, **common):
        """A routine for each matrix, whose addresses stand in tables."""
        addresses = [self.numbers(table, "int64", count) for table in tables.values()]
        for k, found in enumerate(zip(*addresses)):
            code = single(**common, **{n: int(a) for n, a in zip(tables, found)})
            yield k, code

    def potrf_batched(self, uplo, n, aarray, lda, info_array, batch_size):
        codes = self.numbers(info_array, "int32", batch_size)
        same = {"uplo": uplo, "n": n, "lda": lda, "workspace": 0, "lwork": 0, "dev_info": 0}
        for k, code in self.each(self.potrf, batch_size, {"a": aarray}, **same):
            codes[k] = code

    def getrf_batched(self, n, a, lda, p, info, batch_size):
        for k, matrix in enumerate(self.numbers(a, "int64", batch_size)):
            code = self.getrf(n, n, int(matrix), lda, 0, p + 4 * n * k, 0)
            self.numbers(info + 4 * k, "int32", 1)[0] = code

    def getrs_batched(self, trans, n, nrhs, aarray, lda, dev_ipiv, barray, ldb, batch_size):
        tables = (self.numbers(table, "int64", batch_size) for table in (aarray, barray))
        for k, (a, b) in enumerate(zip(*tables)):
            self.getrs(trans, n, nrhs, int(a), lda, dev_ipiv + 4 * n * k, int(b), ldb, 0)

    def trsm_batched(self, side, uplo, trans, diag, m, n, a, lda, b, ldb, batch_count):
        same = {"side": side, "uplo": uplo, "trans": trans, "diag": diag, "m": m, "n": n}
        tables = {"a": a, "b": b}
        for _ in self.each(self.trsm, batch_count, tables, **same, lda=lda, ldb=ldb):
            pass
