"""What other libraries call our ops, as data where it isn't the same name."""

import numpy as np
import scipy.sparse

# Theano's names that are ours, with the module in which they are here.
SAME_IN_THEANO = set(
    """add and_ arccos arccosh arcsin arcsinh arctan arctan2 arctanh cast ceil clip cos cosh
    eq erf erfc exp exp2 expm1 floor ge gt int_div inv invert isinf isnan le log log10 log1p
    log2 lt maximum minimum mod mul neg neq or_ round sgn sin sinh sqr sqrt sub switch tan
    tanh true_div trunc xor allclose deg2rad erfcinv erfinv gamma gammaln isclose psi
    rad2deg tri_gamma abs_ angle complex complex_from_polar conj imag real all any argmax
    argmin max mean min prod ptp std sum var argsort sort flatten reshape shape
    shape_padaxis shape_padleft shape_padright transpose addbroadcast patternbroadcast
    specify_shape swapaxes unbroadcast alloc fill ones ones_like zeros zeros_like arange eye
    identity_like stacklists as_tensor_variable concatenate join stack roll split tile
    inc_subtensor set_subtensor take choose nonzero nonzero_values diag diagonal tri tril
    triu dot outer batched_dot batched_tensordot tensordot binary_crossentropy
    categorical_crossentropy elu hard_sigmoid sigmoid_binary_crossentropy softmax_with_bias
    softsign conv2d pool_2d eig eigh qr svd det pinv crossentropy_categorical_1hot
    crossentropy_softmax_1hot crossentropy_softmax_1hot_with_bias
    crossentropy_softmax_argmax_1hot_with_bias alloc_diag expm extract_diag kron matrix_dot
    matrix_power tensorinv batch_normalization cholesky eigvalsh lstsq solve
    solve_lower_triangular solve_upper_triangular largest max_and_argmax smallest
    conv2d_transpose conv3d images2neibs neibs2images pool_3d max_pool_2d_same_size""".split()
)
THEANO = {
    "sigmoid": "T.nnet.sigmoid", "softplus": "T.nnet.softplus", "softmax": "T.nnet.softmax",
    "logsoftmax": "T.nnet.logsoftmax", "rint": "T.round", "identity": "T.tensor_copy",
    "relu": "T.nnet.relu", "one_hot": "T.extra_ops.to_one_hot",
    "cumsum": "T.extra_ops.cumsum", "cumprod": "T.extra_ops.cumprod",
    "diff": "T.extra_ops.diff", "bincount": "T.extra_ops.bincount",
    "searchsorted": "T.extra_ops.searchsorted", "squeeze": "T.extra_ops.squeeze",
    "repeat": "T.extra_ops.repeat", "compress": "T.extra_ops.compress",
    "unique": "T.extra_ops.Unique()", "disconnected_grad": "gradient.disconnected_grad",
    "zero_grad": "gradient.zero_grad", "consider_constant": "gradient.consider_constant",
    "grad_clip": "gradient.grad_clip", "grad_scale": "gradient.grad_scale",
    "undefined_grad": "gradient.undefined_grad", "meshgrid": "T.mgrid",
    "xlogx": "T.xlogx.xlogx", "xlogy0": "T.xlogx.xlogy0", "rfft": "T.fft.rfft",
    "irfft": "T.fft.irfft", "flatnonzero": "T.flatnonzero",
    "topk": "T.sort.topk", "argtopk": "T.sort.argtopk",
    "topk_and_argtopk": "T.sort.topk_and_argtopk", "selu": "T.nnet.selu",
    "pow_": "T.pow", "dimshuffle": "x.dimshuffle", "norm": "x.norm", "trace": "T.nlinalg.trace",
    "transfer": "x.transfer",
    "to_one_hot": "T.extra_ops.to_one_hot",
    "batch_normalization_test": "T.nnet.bn.batch_normalization_test",
    "batch_normalization_train": "T.nnet.bn.batch_normalization_train",
    "confusion_matrix": "T.nnet.confusion_matrix",
    **{
        name: f"T.nnet.abstract_conv.{name}" for name in (
            "causal_conv1d", "separable_conv2d", "separable_conv3d", "bilinear_upsampling",
            "bilinear_kernel_1D", "bilinear_kernel_2D", "conv2d_grad_wrt_inputs",
            "conv2d_grad_wrt_weights", "conv3d_grad_wrt_inputs", "conv3d_grad_wrt_weights",
        )
    },
}  # fmt: skip

# NumPy's names that differ from ours; a dash where it has something else under our name.
NUMPY = {
    "abs_": "abs", "sqr": "square", "inv": "reciprocal", "sgn": "sign", "neq": "not_equal",
    "eq": "equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "switch": "where", "true_div": "true_divide", "int_div": "floor_divide", "sub": "subtract",
    "mul": "multiply", "pow_": "power", "neg": "negative", "and_": "bitwise_and",
    "or_": "bitwise_or", "xor": "bitwise_xor", "fill": "—", "copy_": "copy", "identity": "copy",
    "cast": "ndarray.astype", "flatten": "ravel", "getitem": "ndarray.__getitem__",
    "matrix_inverse": "linalg.inv", "alloc": "broadcast_to", "broadcast_like": "broadcast_to",
    "dimshuffle": "transpose, expand_dims", "join": "concatenate", "shape_padaxis": "expand_dims",
    "identity_like": "eye", "matrix_dot": "linalg.multi_dot", "extract_diag": "diag",
    "alloc_diag": "diag", "angle": "angle", "erf": "—", "rfft": "fft.rfftn", "irfft": "fft.irfftn",
    "argtopk": "argpartition", "topk": "partition", "nonzero_values": "extract",
    "det": "linalg.det", "norm": "linalg.norm", "largest": "maximum.reduce",
    "smallest": "minimum.reduce", "rint": "rint", "round": "round", "batched_dot": "matmul",
    "slogdet": "linalg.slogdet", "stacklists": "array", "as_tensor_variable": "asarray",
    "shape_padleft": "expand_dims", "shape_padright": "expand_dims", "psi": "—", "std": "std",
    "set_subtensor": "ndarray.__setitem__", "inc_subtensor": "add.at", "solve": "linalg.solve",
    "complex": "—", "choose": "choose", "categorical": "Generator.choice",
    "trace": "trace", "embedding": "take", "eigvalsh": "linalg.eigvalsh",
}  # fmt: skip
RANDOM_IN_THEANO = set(
    """binomial choice multinomial normal permutation poisson random_integers
    shuffle_row_elements uniform""".split()
)
RANDOM = {  # NumPy's Generator, PyTorch
    "bernoulli": ("—", "bernoulli"), "random_integers": ("integers", "randint"),
    "truncated_normal": ("—", "nn.init.trunc_normal_"), "integers": ("integers", "randint"),
    "shuffle_row_elements": ("permuted", "—"), "categorical": ("choice", "multinomial"),
    "choice": ("choice", "multinomial"), "permutation": ("permutation", "randperm"),
    "normal": ("normal", "normal"), "uniform": ("uniform", "rand"),
    "exponential": ("exponential", "Tensor.exponential_"), "poisson": ("poisson", "poisson"),
    "binomial": ("binomial", "binomial"), "multinomial": ("multinomial", "—"),
    "gamma": ("gamma", "distributions.Gamma"), "beta": ("beta", "distributions.Beta"),
    "gumbel": ("gumbel", "distributions.Gumbel"),
}  # fmt: skip

# PyTorch's functions of the same name: torch.<name>.
SAME_IN_TORCH = set(
    """arccos arccosh arcsin arcsinh arctan arctanh ceil cosh eq erf erfc exp exp2 expm1 floor gt
    isfinite isinf isnan le log log10 log1p log2 lt neg round rsqrt sigmoid sinh tan tanh trunc
    allclose hypot isclose logaddexp logical_and logical_not logical_or deg2rad rad2deg add angle
    arctan2 complex cos imag mul real sin sqrt all any argmax argmin logsumexp max mean min norm
    prod std sum var cumprod cumsum diff argsort bincount searchsorted sort topk unique flatten
    reshape swapaxes squeeze moveaxis atleast_1d broadcast_to full full_like ones ones_like zeros
    zeros_like arange eye meshgrid concatenate stack flip roll split tile take nonzero diag
    diagonal ge maximum minimum sub trace tril triu outer matmul tensordot softmax conv2d kron
    clip dot""".split()
)
TORCH = {
    "abs_": "abs", "sqr": "square", "inv": "reciprocal", "sgn": "sign", "neq": "ne",
    "switch": "where", "true_div": "div", "int_div": "floor_divide", "pow_": "pow",
    "mod": "remainder", "and_": "bitwise_and", "or_": "bitwise_or", "xor": "bitwise_xor",
    "invert": "bitwise_not", "left_shift": "bitwise_left_shift", "copy_": "clone",
    "right_shift": "bitwise_right_shift", "identity": "clone", "cast": "Tensor.to",
    "softplus": "nn.functional.softplus", "psi": "special.digamma", "gammaln": "special.gammaln",
    "polygamma": "special.polygamma", "erfinv": "special.erfinv", "rint": "round",
    "xlogy0": "special.xlogy", "conj": "conj", "complex_from_polar": "polar",
    "dimshuffle": "permute", "transpose": "permute", "expand_dims": "unsqueeze",
    "shape_padaxis": "unsqueeze", "alloc": "Tensor.expand", "broadcast_like": "Tensor.expand_as",
    "fill": "Tensor.expand_as", "join": "concatenate", "pad": "nn.functional.pad",
    "repeat": "repeat_interleave", "getitem": "Tensor.__getitem__", "shape": "Tensor.shape",
    "set_subtensor": "index_put", "inc_subtensor": "index_add", "take_along_axis": "gather",
    "compress": "masked_select", "nonzero_values": "masked_select", "batched_dot": "bmm",
    "dot": "matmul", "as_tensor_variable": "as_tensor", "ptp": "aminmax",
    "topk_and_argtopk": "topk", "argtopk": "topk", "max_and_argmax": "max",
    "binary_crossentropy": "nn.functional.binary_cross_entropy",
    "sigmoid_binary_crossentropy": "nn.functional.binary_cross_entropy_with_logits",
    "categorical_crossentropy": "nn.functional.nll_loss", "elu": "nn.functional.elu",
    "crossentropy_categorical_1hot": "nn.functional.nll_loss",
    "crossentropy_softmax_1hot": "nn.functional.cross_entropy",
    "hard_sigmoid": "nn.functional.hardsigmoid", "logsoftmax": "log_softmax", "relu": "relu",
    "leaky_relu": "nn.functional.leaky_relu", "gelu": "nn.functional.gelu",
    "selu": "nn.functional.selu", "silu": "nn.functional.silu",
    "softsign": "nn.functional.softsign", "hinge": "nn.functional.hinge_embedding_loss",
    "huber": "nn.functional.huber_loss", "multiclass_hinge": "nn.functional.multi_margin_loss",
    "squared_error": "nn.functional.mse_loss", "embedding": "nn.functional.embedding",
    "one_hot": "nn.functional.one_hot", "to_one_hot": "nn.functional.one_hot",
    "disconnected_grad": "Tensor.detach", "transfer": "Tensor.to",
    "conv2d_transpose": "conv_transpose2d",
    "conv2d": "conv2d", "zero_grad": "Tensor.detach", "consider_constant": "Tensor.detach",
    "max_pool_2d": "max_pool2d", "pool_2d": "nn.functional.avg_pool2d, max_pool2d",
    "conv2d_grad_wrt_inputs": "nn.grad.conv2d_input",
    "conv2d_grad_wrt_weights": "nn.grad.conv2d_weight", "eig": "linalg.eig",
    "eigh": "linalg.eigh", "qr": "linalg.qr", "svd": "linalg.svd", "det": "linalg.det",
    "pinv": "linalg.pinv", "slogdet": "linalg.slogdet",
    "expm": "linalg.matrix_exp", "matrix_dot": "linalg.multi_dot", "lstsq": "linalg.lstsq",
    "matrix_power": "linalg.matrix_power", "tensorinv": "linalg.tensorinv",
    "cholesky": "linalg.cholesky", "eigvalsh": "linalg.eigvalsh", "solve": "linalg.solve",
    "solve_triangular": "linalg.solve_triangular", "irfft": "fft.irfftn", "rfft": "fft.rfftn",
    "solve_lower_triangular": "linalg.solve_triangular", "alloc_diag": "diag",
    "solve_upper_triangular": "linalg.solve_triangular", "extract_diag": "diagonal",
    "batch_normalization": "nn.functional.batch_norm",
    "batch_normalization_train": "nn.functional.batch_norm",
    "batch_normalization_test": "nn.functional.batch_norm",
    "layer_norm": "nn.functional.layer_norm", "gamma": "—", "flatnonzero": "nonzero",
    "local_response_norm": "nn.functional.local_response_norm", "bincount": "bincount",
    "largest": "maximum", "smallest": "minimum", "isclose": "isclose", "conv1d": "conv1d",
    "conv3d": "conv3d", "conv1d_transpose": "conv_transpose1d", "depthwise_conv2d": "conv2d",
    "conv3d_transpose": "conv_transpose3d", "conv1d_grad_wrt_inputs": "nn.grad.conv1d_input",
    "conv1d_grad_wrt_weights": "nn.grad.conv1d_weight",
    "conv3d_grad_wrt_inputs": "nn.grad.conv3d_input",
    "conv3d_grad_wrt_weights": "nn.grad.conv3d_weight", "max_pool_3d": "max_pool3d",
    "pool_3d": "nn.functional.avg_pool3d, max_pool3d", "images2neibs": "nn.functional.unfold",
    "neibs2images": "nn.functional.fold", "unpool_2d": "nn.functional.max_unpool2d",
    "max_pool_2d_with_positions": "nn.functional.max_pool2d_with_indices",
    "global_average_pool": "nn.functional.adaptive_avg_pool2d",
    "global_max_pool": "nn.functional.adaptive_max_pool2d",
    "upsample": "nn.functional.interpolate", "bilinear_upsampling": "nn.functional.interpolate",
}  # fmt: skip

# Loops: Theano, NumPy, PyTorch.
LOOPS = {
    "scan": ("scan", "ufunc.accumulate", "—"), "map": ("map", "—", "vmap"),
    "reduce": ("reduce", "ufunc.reduce", "—"), "foldl": ("foldl", "ufunc.reduce", "—"),
    "foldr": ("foldr", "—", "—"), "until": ("scan_module.until", "—", "—"),
}  # fmt: skip

# Sparse matrices: what Theano hasn't; SciPy's names, where they are no method of the same name;
# PyTorch's.
SPARSE_OF_OURS = {"convert", "structured_abs"}
SCIPY = {
    "add": "csr_array.__add__", "sub": "csr_array.__sub__", "mul": "csr_array.multiply",
    "neg": "csr_array.__neg__", "structured_abs": "csr_array.__abs__", "sgn": "csr_array.sign",
    "sp_sum": "csr_array.sum", "diag": "csr_array.diagonal", "cast": "csr_array.astype",
    "dense_from_sparse": "csr_array.toarray", "remove0": "csr_array.eliminate_zeros",
    "clean": "csr_array.sum_duplicates", "convert": "csr_array.asformat",
    "csr_from_dense": "csr_array", "csc_from_dense": "csc_array", "CSR": "csr_array",
    "CSC": "csc_array", "hstack": "hstack", "vstack": "vstack", "sqr": "—",
    "square_diagonal": "diags_array",
}  # fmt: skip
SPARSE_IN_TORCH = {
    "dot": "sparse.mm", "sampling_dot": "sparse.sampled_addmm", "sp_sum": "sparse.sum",
    "dense_from_sparse": "Tensor.to_dense", "csr_from_dense": "Tensor.to_sparse_csr",
    "csc_from_dense": "Tensor.to_sparse_csc", "csm_data": "Tensor.values",
    "csm_indices": "Tensor.col_indices", "csm_indptr": "Tensor.crow_indices",
    "CSR": "sparse_csr_tensor", "CSC": "sparse_csc_tensor", "clean": "Tensor.coalesce",
}  # fmt: skip


def names_of(path, names):
    """The names in Theano, NumPy and PyTorch of what `path` (``T.nnet.relu``) is here."""
    place, _, name = path.rpartition(".")
    if place == "stream":
        numpy, torch = RANDOM.get(name, ("—", "—"))
        theano = f"RandomStreams.{name}" if name in RANDOM_IN_THEANO else "—"
        return theano, numpy if numpy == "—" else f"Generator.{numpy}", torch
    if place == "graphc":
        return LOOPS[name]
    if place == "sparse":
        theano = "—" if name in SPARSE_OF_OURS else path
        return theano, _scipy(name), SPARSE_IN_TORCH.get(name, "—")
    if path == "T.nlinalg.inv":
        return "T.nlinalg.matrix_inverse", "linalg.inv", "linalg.inv"
    theano = THEANO.get(name, path if name in SAME_IN_THEANO else "—")
    numpy = NUMPY.get(name) or next((found for n in (name, *names) if (found := _numpy(n))), "—")
    return theano, numpy, TORCH.get(name, name if name in SAME_IN_TORCH else "—")


def _scipy(name):
    """SciPy's name for sparse matrices, where it has a function of ours."""
    method = callable(getattr(scipy.sparse.csr_array, name, None))
    found = SCIPY.get(name, f"csr_array.{name}" if method else "—")
    return found if found == "—" else f"scipy.sparse.{found}"


def _numpy(name):
    """NumPy's name, where it has a function of ours."""
    for place, prefix in ((np, ""), (np.linalg, "linalg."), (np.fft, "fft.")):
        if callable(getattr(place, name, None)):
            return prefix + name
    return None
