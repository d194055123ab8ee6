"""Kinds of odd input for an argument, and what each may lead to."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.data import MetaTensor

#: The value of the usual form, and no other.
EQUAL = "equal"
#: That value, or a clear error.
SAME = "equal or error"
#: A finite value of the usual type, or a clear error.
FINITE = "finite or error"
#: NaN, which the losses keep as documented (tests/losses/test_every_loss.py), or a clear error.
KEPT = "kept or error"
#: Any value, as documented, or a clear error.
ANY = "any or error"
#: A clear error.
ERROR = "error"


class Odd(NamedTuple):
    """One kind of odd input."""

    name: str
    #: Makes it of the usual value.
    change: Callable[[Any], Any]
    allowed: str


def constant(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def constants(allowed: str, **values: Any) -> list[Odd]:
    return [Odd(name, constant(value), allowed) for name, value in values.items()]


# Numbers and choices

NO_NUMBER = {"text": "1", "list": [1.0], "complex": 1j, "nan": math.nan, "inf": math.inf, "minus_inf": -math.inf}


def number() -> list[Odd]:
    return [
        *constants(ERROR, **NO_NUMBER, array=np.array([1.0, 2.0])),
        *constants(FINITE, none=None, true=True, negative=-1.0, zero=0, large=1e20, tiny=1e-20),
        Odd("numpy", lambda value: value if value is None else np.float64(value), SAME),
    ]


def integer() -> list[Odd]:
    return [
        *constants(ERROR, **NO_NUMBER, fraction=1.5, array=np.array([1.5, 2.0])),
        *constants(FINITE, none=None, true=True, negative=-1, zero=0, large=1001),
        Odd("numpy", lambda value: np.int64(value) if isinstance(value, int) else value, SAME),
    ]


def choice() -> list[Odd]:
    return [
        *constants(ERROR, unknown="nonsense", empty_text="", number=3, list=["nonsense"], dict={}),
        *constants(FINITE, none=None),
    ]


def ignore_index() -> list[Odd]:
    return [
        *constants(ERROR, fraction=1.5, true=True, nan=math.nan, text="255", list=[255]),
        *constants(FINITE, usual=255, negative=-1, background=0, foreground=1, huge=2**40, numpy=np.int64(255)),
    ]


def spacing(ndim: int = 2) -> list[Odd]:
    ones = (1.0,) * (ndim - 1)
    wrong = {"zero": 0.0, "negative": -1.0, "nan": math.nan, "inf": math.inf}
    return [
        *constants(ERROR, **{name: (*ones, value) for name, value in wrong.items()}),
        *constants(ERROR, short=ones, long=(*ones, 1.0, 1.0), empty=(), text="11", scalar=1.0, nested=[[1.0] * ndim]),
        *constants(FINITE, none=None, tiny=(1e-20,) * ndim, large=(1e20,) * ndim, bools=[True] * ndim),
        *constants(FINITE, integers=[2] * ndim, array=np.full(ndim, 2.0), tensor=torch.full((ndim,), 2.0)),
    ]


# Arrays

NUMPY_LAYOUTS = {
    "every_second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "negative_strides": lambda a: a[..., ::-1].copy()[..., ::-1],
    "transposed": lambda a: np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2),
    "fortran": np.asfortranarray,
    "read_only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "expanded": lambda a: np.broadcast_to(a, (1, *a.shape))[0],
    "big_endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
}
TENSOR_LAYOUTS = {
    "every_second": lambda t: t.repeat_interleave(2, -1)[..., ::2],
    "transposed": lambda t: t.swapaxes(-1, -2).contiguous().swapaxes(-1, -2),
    "expanded": lambda t: t.expand(1, *t.shape)[0],
    "metatensor": MetaTensor,
    "requires_grad": lambda t: t.clone().requires_grad_() if t.is_floating_point() else t,
    "part_of_a_whole": lambda t: torch.stack([t, t])[1],
}
WHOLE_TYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
FLOAT_TYPES = ("float16", "float32", "float64")


def tensor(array: Any) -> torch.Tensor:
    return array if isinstance(array, torch.Tensor) else torch.from_numpy(array.copy())


def numpy(array: Any) -> np.ndarray:
    return array.numpy() if isinstance(array, torch.Tensor) else array


def like(array: Any, values: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(values)) if isinstance(array, torch.Tensor) else values


def edited(value: float, dtype: str = "float64") -> Callable[[Any], Any]:
    """Put one value in the middle."""

    def change(array: Any) -> Any:
        values = np.array(numpy(array), dtype, order="C")
        values.reshape(-1)[values.size // 2] = value
        return like(array, values)

    return change


def typed(dtype: str) -> Callable[[Any], Any]:
    return lambda array: like(array, numpy(array).astype(dtype))


def scaled(factor: float) -> Callable[[Any], Any]:
    return lambda array: like(array, numpy(array) * factor)


def full(value: float) -> Callable[[Any], Any]:
    return lambda array: like(array, np.full_like(numpy(array), value))


def layouts(array: Any) -> list[Odd]:
    table = TENSOR_LAYOUTS if isinstance(array, torch.Tensor) else NUMPY_LAYOUTS
    other = Odd("numpy", numpy, SAME) if isinstance(array, torch.Tensor) else Odd("tensor", tensor, SAME)
    return [other, *(Odd(name, change, EQUAL) for name, change in table.items())]


def shapes(array: Any, leading: int, paired: bool) -> list[Odd]:
    """Odd shapes of `(*leading, *S)`; beside another array of its shape none of them is right."""
    alone = ERROR if paired else FINITE
    found = [
        Odd("no_voxel", lambda a: a[..., :0], ERROR),
        Odd("no_axis", lambda a: a.reshape(-1)[0], ERROR),
        Odd("seven_axes", lambda a: a.reshape(*a.shape, *[1] * (7 - a.ndim)), ERROR),
        Odd("axis_more", lambda a: a[..., None], alone),
        Odd("axis_fewer", lambda a: a[..., 0], alone),
        Odd("last_axis_of_size_1", lambda a: a[..., :1], alone),
    ]
    if leading:
        found += [Odd("zero_first", lambda a: a[:0], ERROR), Odd("without_first", lambda a: a[0], alone)]
    if leading == 2:
        found.append(Odd("zero_channels", lambda a: a[:, :0], ERROR))
    return found


def objects(optional: bool) -> list[Odd]:
    return [
        *constants(FINITE if optional else ERROR, none=None),
        *constants(ERROR, text="mask", number=3, dict={}, object=object()),
        Odd("list", lambda a: a.tolist(), SAME),
        Odd("object_array", lambda a: numpy(a).astype(object), SAME),
        Odd("text_array", lambda a: numpy(a).astype(str), ERROR),
        Odd("complex", lambda a: like(a, numpy(a) * (1 + 1j)), ERROR),
        Odd("meta_device", lambda a: tensor(a).to("meta"), ERROR),
        Odd("sparse", lambda a: tensor(a).to_sparse(), ERROR),
    ]


VALUES: dict[str, list[Odd]] = {
    "mask": [
        *(Odd(f"with_{name}", edited(value), ERROR) for name, value in
          {"nan": math.nan, "inf": math.inf, "half": 0.5, "two": 2, "minus_1": -1}.items()),
        Odd("0_and_255", scaled(255), ERROR), Odd("empty", full(0), FINITE), Odd("full", full(1), FINITE),
        *(Odd(name, typed(name), SAME) for name in (*WHOLE_TYPES, *FLOAT_TYPES)),
        Odd("bfloat16", lambda a: tensor(a).bfloat16(), SAME),
    ],
    "labels": [
        *(Odd(f"with_{name}", edited(value), ERROR) for name, value in
          {"nan": math.nan, "inf": math.inf, "half": 0.5, "minus_1": -1, "255": 255, "2^40": 2**40}.items()),
        Odd("with_255_as_byte", edited(255, "uint8"), ERROR), Odd("times_255", scaled(255), ERROR),
        Odd("empty", full(0), FINITE), Odd("full", full(1), FINITE),
        *(Odd(name, typed(name), SAME) for name in (*WHOLE_TYPES[1:], *FLOAT_TYPES)),
        Odd("bfloat16", lambda a: tensor(a).bfloat16(), SAME),
    ],
    "ids": [
        *(Odd(f"with_{name}", edited(value), ERROR) for name, value in
          {"nan": math.nan, "inf": math.inf, "half": 0.5, "minus_1": -1, "2^60": 2**60}.items()),
        Odd("with_255", edited(255, "uint8"), FINITE), Odd("with_2^40", edited(2**40, "int64"), FINITE),
        Odd("with_reserved", edited(2**64 - 1, "uint64"), FINITE),
        Odd("empty", full(0), FINITE), Odd("full", full(1), FINITE),
        *(Odd(name, typed(name), SAME) for name in (*WHOLE_TYPES[1:], *FLOAT_TYPES)),
    ],
    "logits": [
        Odd("with_nan", edited(math.nan, "float32"), KEPT), Odd("with_inf", edited(math.inf, "float32"), ANY),
        Odd("with_minus_inf", edited(-math.inf, "float32"), ANY), Odd("with_1e30", edited(1e30, "float32"), FINITE),
        Odd("zeros", full(0), FINITE), Odd("times_1e4", scaled(1e4), FINITE),
        Odd("float16", typed("float16"), FINITE), Odd("bfloat16", lambda a: tensor(a).bfloat16(), FINITE),
        Odd("float64", typed("float64"), SAME),
        *(Odd(name, typed(name), ERROR) for name in ("bool", "uint8", "int64", "uint16")),
    ],
    "likelihood": [
        *(Odd(f"with_{name}", edited(value), ERROR) for name, value in
          {"nan": math.nan, "inf": math.inf, "1.5": 1.5, "minus_half": -0.5}.items()),
        Odd("times_255", scaled(255), ERROR), Odd("zeros", full(0), FINITE), Odd("ones", full(1), FINITE),
        Odd("float16", typed("float16"), FINITE), Odd("bfloat16", lambda a: tensor(a).bfloat16(), FINITE),
        Odd("float64", typed("float64"), SAME),
        *(Odd(name, typed(name), FINITE) for name in ("bool", "uint8", "int64", "uint16")),
    ],
    "finite": [  # floats of any size
        *(Odd(f"with_{name}", edited(value, "float32"), ERROR) for name, value in
          {"nan": math.nan, "inf": math.inf}.items()),
        Odd("with_minus_half", edited(-0.5, "float32"), FINITE), Odd("times_255", scaled(255), FINITE),
        Odd("zeros", full(0), FINITE), Odd("float16", typed("float16"), FINITE), Odd("float64", typed("float64"), SAME),
        *(Odd(name, typed(name), FINITE) for name in ("bool", "uint8", "int64", "uint16")),
    ],
    "map": [
        Odd("with_nan", edited(math.nan, "float32"), KEPT), Odd("with_inf", edited(math.inf, "float32"), ANY),
        Odd("zeros", full(0), FINITE), Odd("times_1e4", scaled(1e4), FINITE),
        Odd("float16", typed("float16"), FINITE), Odd("float64", typed("float64"), SAME),
        *(Odd(name, typed(name), ERROR) for name in ("bool", "uint8", "int64")),
    ],
}  # fmt: skip


def array(value: Any, kind: str, leading: int = 0, *, paired: bool = False, optional: bool = False) -> list[Odd]:
    """Return the odd forms of an array `(*leading, *S)`.

    Args:
        value: The usual one.
        kind: Of its values, a key of `VALUES`.
        leading: Axes before the spatial ones: 2 for batch and channel.
        paired: Whether another argument has its shape.
        optional: Whether it may be ``None``.
    """
    return [*VALUES[kind], *layouts(value), *shapes(value, leading, paired), *objects(optional)]
