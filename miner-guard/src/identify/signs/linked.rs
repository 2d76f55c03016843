//! Libraries that compute a proof of work: a program that links one holds the names, the library the constants.

use super::{
    Family::{Ethash, RandomX},
    Means, Sign, sign,
};

macro_rules! name {
    ($family:ident, $name:expr) => {
        sign!(Means::Linked($family), "", $name)
    };
}

pub const SIGNS: &[Sign] = &[
    name!(RandomX, b"librandomx.so"),
    name!(RandomX, b"randomx_create_vm"),
    name!(RandomX, b"randomx_calculate_hash"),
    name!(RandomX, b"randomx_alloc_cache"),
    name!(RandomX, b"randomx_init_dataset"),
    name!(Ethash, b"libethash.so"),
    name!(Ethash, b"ethash_calculate_epoch"),
    name!(Ethash, b"ethash_create_epoch_context"),
    name!(Ethash, b"ethash_light_compute"),
    name!(Ethash, b"ethash_full_compute"),
];
