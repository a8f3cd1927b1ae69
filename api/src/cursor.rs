//! Where the next page of a list begins, as text that a client hands back and does not read.

use crate::problem::{Kind, Problem};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use paceline_shared::JobId;
use uuid::Uuid;

/// A place in one of the lists.
pub(crate) trait Cursor: Sized {
    /// The first byte: which list it belongs to.
    const LIST: u8;
    /// What follows it.
    fn write(&self, bytes: &mut Vec<u8>);
    /// `None` when the bytes are no such place.
    fn read(bytes: &[u8]) -> Option<Self>;

    fn to_text(&self) -> String {
        let mut bytes = vec![Self::LIST];
        self.write(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn from_text(text: &str) -> Result<Self, Problem> {
        URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| match bytes.split_first() {
                Some((&list, rest)) if list == Self::LIST => Self::read(rest),
                _ => None,
            })
            .ok_or(Problem::new(Kind::InvalidCursor))
    }
}

/// Behind a sync.
impl Cursor for JobId {
    const LIST: u8 = b's';
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.0.as_bytes());
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(JobId)
    }
}

/// Behind an operation or an act of staff: the one list's cursor finds its place in the other by time.
impl Cursor for Uuid {
    const LIST: u8 = b'u';
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.as_bytes());
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        Self::from_slice(bytes).ok()
    }
}

/// Behind an activity: its start and id.
impl Cursor for (DateTime<Utc>, Uuid) {
    const LIST: u8 = b'a';
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.0.timestamp_micros().to_be_bytes());
        bytes.extend(self.1.as_bytes());
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (micros, id) = bytes.split_first_chunk()?;
        let start = DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))?;
        // Postgres knows fewer years than we can write.
        let is_plausible = (1..=9999).contains(&start.year());
        is_plausible.then_some((start, Uuid::from_slice(id).ok()?))
    }
}

/// Behind a measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured(pub(crate) DateTime<Utc>, pub(crate) Uuid);

impl Cursor for Measured {
    const LIST: u8 = b'm';
    fn write(&self, bytes: &mut Vec<u8>) {
        (self.0, self.1).write(bytes);
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        <(DateTime<Utc>, Uuid)>::read(bytes).map(|(at, id)| Self(at, id))
    }
}

/// Behind a day or a night.
impl Cursor for (NaiveDate, Uuid) {
    const LIST: u8 = b'd';
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.0.num_days_from_ce().to_be_bytes());
        bytes.extend(self.1.as_bytes());
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (days, id) = bytes.split_first_chunk()?;
        let day = NaiveDate::from_num_days_from_ce_opt(i32::from_be_bytes(*days))?;
        let is_plausible = (1..=9999).contains(&day.year());
        is_plausible.then_some((day, Uuid::from_slice(id).ok()?))
    }
}

/// Behind a failed record: its page and its place there.
impl Cursor for (i32, i32) {
    const LIST: u8 = b'f';
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.0.to_be_bytes());
        bytes.extend(self.1.to_be_bytes());
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (page, rest) = bytes.split_first_chunk()?;
        let (position, []) = rest.split_first_chunk()? else { return None };
        Some((i32::from_be_bytes(*page), i32::from_be_bytes(*position)))
    }
}

/// Cuts a list that was read with one row too many, and says where the next page begins.
pub(crate) fn page<T, C: Cursor>(
    mut rows: Vec<T>,
    limit: i64,
    place: impl Fn(&T) -> C,
) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(0);
    if rows.len() <= limit {
        return (rows, None);
    }
    rows.truncate(limit);
    let next = rows.last().map(|row| place(row).to_text());
    (rows, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_text() {
        let sync = JobId::fresh();
        assert_eq!(JobId::from_text(&sync.to_text()).unwrap(), sync);
        let activity =
            (DateTime::from_timestamp_micros(1_735_689_600_123_456).unwrap(), Uuid::now_v7());
        assert_eq!(<(DateTime<Utc>, Uuid)>::from_text(&activity.to_text()).unwrap(), activity);
        let Measured(at, id) =
            Measured::from_text(&Measured(activity.0, activity.1).to_text()).unwrap();
        assert_eq!((at, id), activity);
        let night = (NaiveDate::from_ymd_opt(2026, 5, 3).unwrap(), Uuid::now_v7());
        assert_eq!(<(NaiveDate, Uuid)>::from_text(&night.to_text()).unwrap(), night);
        let failure = (3, 199);
        assert_eq!(<(i32, i32)>::from_text(&failure.to_text()).unwrap(), failure);
    }

    #[test]
    fn whatever_is_no_place_in_this_list_is_refused() {
        let sync = JobId::fresh().to_text();
        let far = (DateTime::<Utc>::MAX_UTC, Uuid::nil()).to_text();
        for text in ["", "!", "czE", "AAAA", &sync[1..], &sync, &far] {
            assert!(<(DateTime<Utc>, Uuid)>::from_text(text).is_err(), "{text}");
        }
        assert!(JobId::from_text(&(3, 4).to_text()).is_err());
        let of_activities = (DateTime::UNIX_EPOCH, Uuid::nil()).to_text();
        assert!(Measured::from_text(&of_activities).is_err(), "another list's");
        let far = (NaiveDate::MAX, Uuid::nil()).to_text();
        assert!(<(NaiveDate, Uuid)>::from_text(&far).is_err());
        assert!(<(i32, i32)>::from_text(&URL_SAFE_NO_PAD.encode(b"f123456789")).is_err());
    }

    #[test]
    fn only_a_full_page_with_more_behind_it_has_a_next() {
        let place = |n: &i32| (*n, 0);
        assert_eq!(page(vec![1, 2], 2, place), (vec![1, 2], None));
        assert_eq!(page(vec![1, 2, 3], 2, place), (vec![1, 2], Some((2, 0).to_text())));
    }
}
