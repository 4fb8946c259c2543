//! When a session may be used, and when its sequences start anew.

const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;
const SECONDS_PER_WEEK: u64 = 7 * SECONDS_PER_DAY;

/// Session time, in UTC: an interval that comes every day or every week. Both sequences start at 1 with each interval;
/// outside of it nobody is logged on. An interval that ends where it starts lasts all day or week: it only resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Length of the round: a day or a week, in seconds.
    round_s: u64,
    /// Start in the round. Weeks start on Monday.
    start_s: u64,
    /// End in the round; at or before the start, it is in the next round.
    end_s: u64,
}

impl Schedule {
    /// Every day from `start_s` to `end_s`, in seconds after midnight. `None` if there are no such times.
    #[must_use]
    pub fn daily(start_s: u64, end_s: u64) -> Option<Self> {
        let round_s = SECONDS_PER_DAY;
        (start_s < round_s && end_s < round_s).then_some(Self { round_s, start_s, end_s })
    }

    /// Every week from one day (0: Monday) and time to another. `None` if there are no such times.
    #[must_use]
    pub fn weekly(start: (u64, u64), end: (u64, u64)) -> Option<Self> {
        let valid = |(day, time_s)| day < 7 && time_s < SECONDS_PER_DAY;
        let place = |(day, time_s)| day * SECONDS_PER_DAY + time_s;
        (valid(start) && valid(end)).then(|| Self {
            round_s: SECONDS_PER_WEEK,
            start_s: place(start),
            end_s: place(end),
        })
    }

    /// Start of the interval that `now_ns` (since the Unix epoch) is in; `None` outside of session time.
    #[must_use]
    pub fn began_ns(&self, now_ns: u64) -> Option<u64> {
        // The Unix epoch was a Thursday. A round earlier than the epoch keeps the subtraction above zero.
        let shift_s = if self.round_s == SECONDS_PER_WEEK { 3 * SECONDS_PER_DAY } else { 0 };
        let now_s = now_ns / NS_PER_SECOND + shift_s + self.round_s;
        let round_began_s = now_s - now_s % self.round_s;
        let today_s = round_began_s + self.start_s;
        let began_s = if today_s <= now_s { today_s } else { today_s - self.round_s };
        let length_s = (self.end_s + self.round_s - self.start_s - 1) % self.round_s + 1;
        (now_s < began_s + length_s).then(|| began_s.saturating_sub(shift_s + self.round_s) * NS_PER_SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::{Precision, format_utc, parse_utc_timestamp};

    fn began(schedule: Schedule, now: &str) -> Option<String> {
        let began_ns = schedule.began_ns(parse_utc_timestamp(now.as_bytes()).unwrap())?;
        Some(String::from_utf8(format_utc(began_ns, Precision::Seconds).to_vec()).unwrap())
    }

    #[test]
    fn daily_intervals() {
        let day = Schedule::daily(8 * 3600, 17 * 3600).unwrap();
        assert_eq!(began(day, "20240305-07:59:59"), None);
        assert_eq!(began(day, "20240305-08:00:00").as_deref(), Some("20240305-08:00:00"));
        assert_eq!(began(day, "20240305-16:59:59.999").as_deref(), Some("20240305-08:00:00"));
        assert_eq!(began(day, "20240305-17:00:00"), None);
        let night = Schedule::daily(22 * 3600, 6 * 3600).unwrap();
        assert_eq!(began(night, "20240305-05:00:00").as_deref(), Some("20240304-22:00:00"));
        assert_eq!(began(night, "20240305-12:00:00"), None);
        let whole = Schedule::daily(0, 0).unwrap();
        assert_eq!(began(whole, "20240305-23:59:59").as_deref(), Some("20240305-00:00:00"));
        assert!(Schedule::daily(86_400, 0).is_none());
    }

    #[test]
    fn weekly_intervals() {
        // Sunday 22:00 to Friday 21:00; 3 March 2024 was a Sunday.
        let week = Schedule::weekly((6, 22 * 3600), (4, 21 * 3600)).unwrap();
        assert_eq!(began(week, "20240303-21:59:59"), None);
        assert_eq!(began(week, "20240303-22:00:00").as_deref(), Some("20240303-22:00:00"));
        assert_eq!(began(week, "20240306-12:00:00").as_deref(), Some("20240303-22:00:00"));
        assert_eq!(began(week, "20240308-20:59:59").as_deref(), Some("20240303-22:00:00"));
        assert_eq!(began(week, "20240308-21:00:00"), None);
        assert!(Schedule::weekly((7, 0), (0, 0)).is_none());
    }
}
