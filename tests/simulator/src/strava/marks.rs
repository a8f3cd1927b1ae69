//! The few facts about an activity that counting needs, in a byte.

/// A small set of [`Mark`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(u8);

/// What an activity may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It has start coordinates.
    Located = 1,
    /// It started near a city, so an offline geocoder can name the place.
    NearCity = 2,
    /// Typed in by hand.
    Manual = 4,
    /// Recorded indoors: no coordinates.
    Indoor = 8,
    /// Visible to its owner only: hidden from tokens without `activity:read_all`.
    Private = 16,
    /// No longer at the provider.
    Deleted = 32,
    /// Added after the athlete was created.
    Late = 64,
}

impl Marks {
    pub(super) fn has(self, mark: Mark) -> bool {
        self.0 & mark as u8 != 0
    }

    pub(super) fn set(&mut self, mark: Mark, on: bool) {
        if on {
            self.0 |= mark as u8;
        } else {
            self.0 &= !(mark as u8);
        }
    }
}
