//! Names of element types.

use plugrank_contract::TensorDtype;

/// The protocol's name of a type.
pub(crate) const fn name(dtype: TensorDtype) -> &'static str {
    match dtype {
        TensorDtype::F16 => "FP16",
        TensorDtype::F32 => "FP32",
        TensorDtype::I64 => "INT64",
    }
}

/// The type of a name, if graphs use it.
pub(crate) fn by_name(name: &str) -> Option<TensorDtype> {
    [TensorDtype::F16, TensorDtype::F32, TensorDtype::I64]
        .into_iter()
        .find(|dtype| self::name(*dtype) == name)
}
