//! The enums of the ABI as the words that operators read, for `#[serde(with = …)]`.

/// Makes a module that writes the enum as its name and reads it back.
macro_rules! by_name {
    ($module:ident, $enum:ty) => {
        pub(crate) mod $module {
            use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

            pub(crate) fn serialize<S: Serializer>(value: &$enum, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(value.name())
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<$enum, D::Error> {
                let name = std::borrow::Cow::<'de, str>::deserialize(d)?;
                <$enum>::ALL.iter().copied().find(|v| v.name() == name).ok_or_else(|| {
                    let known: Vec<_> = <$enum>::ALL.iter().map(|v| v.name()).collect();
                    D::Error::custom(format!("`{name}` is none of {}", known.join(", ")))
                })
            }
        }
    };
}

by_name!(mode, miner_guard_common::abi::verdict::Mode);
by_name!(verdict, miner_guard_common::abi::verdict::Verdict);
by_name!(reason, miner_guard_common::abi::verdict::Reason);
