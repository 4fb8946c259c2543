//! Formats and value sets of fields.

use crate::fix::{is_date, is_decimal, is_integer, is_time_of_day, is_utc_timestamp, parse_number};

/// What a field's type asks of its value. Types whose values are free text, or that FIX does not pin down, are
/// [`Kind::Text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Char,
    Integer,
    /// Length, NumInGroup, SeqNum: no sign.
    Natural,
    Decimal,
    Boolean,
    Timestamp,
    Date,
    TimeOfDay,
    /// `YYYYMM`, with a day or a week behind it.
    MonthYear,
    /// Space-separated values.
    Several,
}

impl Kind {
    /// The kind of a type of the specification. FIX 4.0 and 4.1 call all text CHAR.
    pub(super) fn of(name: &str, old: bool) -> Self {
        match name {
            "CHAR" if old => Self::Text,
            "CHAR" => Self::Char,
            "INT" | "DAYOFMONTH" | "TAGNUM" => Self::Integer,
            "LENGTH" | "NUMINGROUP" | "SEQNUM" => Self::Natural,
            "AMT" | "FLOAT" | "PERCENTAGE" | "PRICE" | "PRICEOFFSET" | "QTY" => Self::Decimal,
            "BOOLEAN" => Self::Boolean,
            "TIME" | "UTCTIMESTAMP" => Self::Timestamp,
            "DATE" | "LOCALMKTDATE" | "UTCDATE" | "UTCDATEONLY" => Self::Date,
            "UTCTIMEONLY" => Self::TimeOfDay,
            "MONTHYEAR" => Self::MonthYear,
            "MULTIPLECHARVALUE" | "MULTIPLESTRINGVALUE" | "MULTIPLEVALUESTRING" => Self::Several,
            _ => Self::Text,
        }
    }

    /// Whether the value has the type's format.
    #[inline]
    pub(crate) fn fits(self, value: &[u8]) -> bool {
        match self {
            Self::Text | Self::Several => true,
            Self::Char => value.len() == 1,
            Self::Integer => is_integer(value),
            Self::Natural => parse_number(value).is_some(),
            Self::Decimal => is_decimal(value),
            Self::Boolean => matches!(value, b"Y" | b"N"),
            Self::Timestamp => is_utc_timestamp(value),
            Self::Date => is_date(value),
            Self::TimeOfDay => is_time_of_day(value),
            Self::MonthYear => is_month_year(value),
        }
    }
}

fn is_month_year(value: &[u8]) -> bool {
    match value.len() {
        6 => is_date(&[value, b"01"].concat()),
        8 if value[6] == b'w' => is_month_year(&value[..6]) && (b'1'..=b'5').contains(&value[7]),
        8 => is_date(value),
        _ => false,
    }
}

/// The values that a field may have.
#[derive(Clone, Default)]
pub(crate) struct ValueSet {
    /// Values of one ASCII character.
    characters: u128,
    /// All others, sorted.
    words: Vec<Box<[u8]>>,
}

impl ValueSet {
    pub(super) fn new<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for value in values {
            match *value.as_bytes() {
                [only] if only < 128 => set.characters |= 1 << only,
                _ => set.words.push(value.as_bytes().into()),
            }
        }
        set.words.sort();
        set
    }

    /// The set with more values of one character.
    pub(super) fn with(mut self, characters: &[u8]) -> Self {
        characters.iter().for_each(|&it| self.characters |= 1 << it);
        self
    }

    /// Whether the value (each of them, if there may be several) is in the set.
    #[inline]
    pub(crate) fn contains(&self, kind: Kind, value: &[u8]) -> bool {
        match *value {
            [only] => only < 128 && self.characters >> only & 1 == 1,
            _ if kind == Kind::Several => {
                value.split(|&byte| byte == b' ').all(|it| self.contains(Kind::Text, it))
            }
            _ => self.words.binary_search_by(|it| (**it).cmp(value)).is_ok(),
        }
    }

    /// One of its values, chosen by `choice`.
    #[cfg(test)]
    pub(super) fn pick(&self, choice: usize) -> Vec<u8> {
        let characters = (0..128u8).filter(|&it| self.characters >> it & 1 == 1).map(|it| vec![it]);
        let all: Vec<Vec<u8>> = characters.chain(self.words.iter().map(|it| it.to_vec())).collect();
        all[choice % all.len()].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let cases: [(Kind, &[&str], &[&str]); 9] = [
            (Kind::Char, &["1", "x"], &["", "12"]),
            (Kind::Integer, &["0", "-5", "007"], &["", "-", "+1", "1.0", "x"]),
            (Kind::Natural, &["0", "12"], &["", "-1", "+1"]),
            (Kind::Decimal, &["0", "-1.5", ".5", "1."], &["", ".", "+1", "1e5", "1.2.3"]),
            (Kind::Boolean, &["Y", "N"], &["", "y", "YN"]),
            (Kind::Timestamp, &["20240229-00:00:00", "20240229-00:00:00.123456789"], &["20240229", ""]),
            (Kind::Date, &["20240229"], &["20230229", "2024022", "20240229-"]),
            (Kind::TimeOfDay, &["23:59:59", "23:59:59.999"], &["24:00:00", "23:59", "23:59:59."]),
            (Kind::MonthYear, &["202402", "20240229", "202402w1"], &["202413", "202402w6", "2024"]),
        ];
        for (kind, good, bad) in cases {
            good.iter().for_each(|it| assert!(kind.fits(it.as_bytes()), "{kind:?} {it}"));
            bad.iter().for_each(|it| assert!(!kind.fits(it.as_bytes()), "{kind:?} {it}"));
        }
    }

    #[test]
    fn sets_hold_characters_words_and_several() {
        let set = ValueSet::new(["1", "A", "CS", "FUT"].into_iter());
        assert!(set.contains(Kind::Text, b"A") && set.contains(Kind::Text, b"FUT"));
        assert!(!set.contains(Kind::Text, b"FU") && !set.contains(Kind::Text, b"2"));
        assert!(!set.contains(Kind::Text, &[200]) && !set.contains(Kind::Text, b"1 A"));
        assert!(set.contains(Kind::Several, b"1 A CS"));
        assert!(!set.contains(Kind::Several, b"1 B") && !set.contains(Kind::Several, b"1 "));
    }
}
