//! How an activity came to Strava: the upload's number and the name it was sent under.

use crate::dice::Dice;

/// How an activity reached Strava.
pub(super) struct Origin {
    pub(super) upload: u128,
    /// What Strava calls `external_id`.
    pub(super) name: Option<String>,
}

impl Origin {
    pub(super) fn draw(dice: &mut Dice, activity: u64, kind: &str) -> Self {
        // Strava's own example of an upload id does not fit 64 bits.
        let huge = dice.chance(0.0025);
        let upload =
            if huge { 987_654_321_234_567_891_234 } else { u128::from(activity) + 1_061_238_000 };
        let device_id = 1_000_000_000 + dice.below(19_000_000_000);
        let name = match (kind, dice.below(100)) {
            ("VirtualRide" | "VirtualRun", _) => Some(format!("zwift-activity-{device_id}.fit")),
            (_, 0..55) => Some(format!("garmin_push_{device_id}")),
            (_, 55..60) => Some(format!("garmin_ping_{device_id}")),
            (_, 60..88) => {
                Some(format!("{device_id:X}-4F2B-{:04X}-activity.fit", dice.below(65_536)))
            }
            (_, 88..94) => Some(format!("morning loop {}.gpx", dice.below(900))),
            _ => None,
        };
        Self { upload, name }
    }
}
