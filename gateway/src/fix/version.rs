//! The versions of FIX that are spoken.

/// A version of the application layer; which one of the session layer goes with it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// FIX.4.0
    Fix40,
    /// FIX.4.1
    Fix41,
    /// FIX.4.2
    Fix42,
    /// FIX.4.3
    Fix43,
    /// FIX.4.4
    Fix44,
    /// FIX 5.0 over FIXT.1.1
    Fix50,
    /// FIX 5.0 SP1 over FIXT.1.1
    Fix50Sp1,
    /// FIX 5.0 SP2 over FIXT.1.1
    Fix50Sp2,
}

impl Version {
    /// All, in their order.
    pub const ALL: [Self; 8] = [
        Self::Fix40,
        Self::Fix41,
        Self::Fix42,
        Self::Fix43,
        Self::Fix44,
        Self::Fix50,
        Self::Fix50Sp1,
        Self::Fix50Sp2,
    ];

    /// Value of BeginString (8).
    #[must_use]
    pub const fn begin_string(self) -> &'static [u8] {
        match self {
            Self::Fix40 => b"FIX.4.0",
            Self::Fix41 => b"FIX.4.1",
            Self::Fix42 => b"FIX.4.2",
            Self::Fix43 => b"FIX.4.3",
            Self::Fix44 => b"FIX.4.4",
            Self::Fix50 | Self::Fix50Sp1 | Self::Fix50Sp2 => b"FIXT.1.1",
        }
    }

    /// Value of ApplVerID (1128, 1137) over FIXT.1.1; empty for versions with a session layer of their own.
    #[must_use]
    pub const fn application_id(self) -> &'static [u8] {
        match self {
            Self::Fix50 => b"7",
            Self::Fix50Sp1 => b"8",
            Self::Fix50Sp2 => b"9",
            _ => b"",
        }
    }

    /// Whether its session layer is FIXT.1.1.
    #[must_use]
    pub const fn is_fixt(self) -> bool {
        !self.application_id().is_empty()
    }

    /// The version that a session with this BeginString and, over FIXT.1.1, this ApplVerID speaks.
    #[must_use]
    pub fn of(begin_string: &[u8], application_id: Option<&[u8]>) -> Option<Self> {
        let application_id = application_id.unwrap_or_default();
        Self::ALL.into_iter().find(|version| {
            version.begin_string() == begin_string
                && (!version.is_fixt() || version.application_id() == application_id)
        })
    }

    /// The version to answer in, where [`Version::of`] knows none: any over FIXT.1.1 will do for a Logout.
    #[must_use]
    pub fn spoken(begin_string: &[u8], application_id: Option<&[u8]>) -> Option<Self> {
        let newest = Self::Fix50Sp2;
        let transport = (begin_string == newest.begin_string()).then_some(newest);
        Self::of(begin_string, application_id).or(transport)
    }

    /// Whether any version has this BeginString.
    #[must_use]
    pub fn is_begin_string(text: &[u8]) -> bool {
        Self::ALL.into_iter().any(|version| version.begin_string() == text)
    }

    /// The name by which a configuration calls it: `FIX.4.4`, or `FIX.5.0SP2` for one over FIXT.1.1.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fix40 => "FIX.4.0",
            Self::Fix41 => "FIX.4.1",
            Self::Fix42 => "FIX.4.2",
            Self::Fix43 => "FIX.4.3",
            Self::Fix44 => "FIX.4.4",
            Self::Fix50 => "FIX.5.0",
            Self::Fix50Sp1 => "FIX.5.0SP1",
            Self::Fix50Sp2 => "FIX.5.0SP2",
        }
    }

    /// The version with this [`Version::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_by_begin_string_application_and_name() {
        for version in Version::ALL {
            assert_eq!(Version::of(version.begin_string(), Some(version.application_id())), Some(version));
            assert_eq!(Version::from_name(version.name()), Some(version));
        }
        assert_eq!(Version::of(b"FIX.4.2", None), Some(Version::Fix42));
        assert_eq!(Version::of(b"FIX.4.2", Some(b"9")), Some(Version::Fix42));
        assert_eq!(Version::of(b"FIXT.1.1", None), None);
        assert_eq!(Version::of(b"FIXT.1.1", Some(b"6")), None);
        assert_eq!(Version::of(b"FIX.3.9", None), None);
        assert_eq!(Version::spoken(b"FIXT.1.1", Some(b"99")), Some(Version::Fix50Sp2));
        assert_eq!(Version::spoken(b"FIX.3.9", None), None);
        assert!(Version::is_begin_string(b"FIXT.1.1") && !Version::is_begin_string(b"FIX.5.0"));
    }
}
