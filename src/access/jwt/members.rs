//! A JSON object whose members are read one by one, and of which none may come twice: with a name that comes twice, two
//! readers may see two different tokens (RFC 7519 §4).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::value::RawValue;

/// The members of an object, each as its text.
pub(super) struct Members<'a>(BTreeMap<String, &'a RawValue>);

/// A member is there and is not of the kind that was asked for.
#[derive(Debug)]
pub(super) struct WrongKind;

impl<'a> Members<'a> {
    /// Reads an object, and nothing behind it.
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Whether there is such a member, `null` as well.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The member as a `T`; `None` if there is none. A `null` is no `T`.
    pub(super) fn get<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, WrongKind> {
        let text = self.text(name);
        text.map(|text| serde_json::from_str(text).map_err(|_| WrongKind)).transpose()
    }

    /// The member as it is written.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get())
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member comes twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_of_one_kind_and_come_once() {
        let members = Members::read(br#"{"a":1,"b":"x","n":null}"#).expect("an object");
        assert!(members.has("n") && !members.has("c"));
        assert_eq!(members.get::<u64>("a").expect("a number"), Some(1));
        assert_eq!(members.get::<String>("c").expect("nothing"), None);
        for name in ["a", "n"] {
            assert!(members.get::<String>(name).is_err(), "{name}");
        }
        assert!(members.get::<u64>("b").is_err());
        for bad in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, "[]", "1", "", "{}{}", r#"{"a":1}x"#, "{\"a\":\u{1}}"]
        {
            assert!(Members::read(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
