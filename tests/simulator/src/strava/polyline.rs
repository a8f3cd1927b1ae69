//! Tracks, drawn and encoded as polylines (the encoding of the summary maps: signed deltas of
//! 1e-5 degrees, five bits a character). Must not know activities.

use crate::dice::Dice;
use crate::numbers::{round_to, scaled};

const STEPS: u8 = 28;

/// A winding way of about `distance_m` from `from`, back near it two times in three: end and line.
pub(super) fn outing(dice: &mut Dice, from: (f64, f64), distance_m: f64) -> ((f64, f64), String) {
    let stride = (distance_m / 111_000.0 / f64::from(STEPS)).min(0.02);
    let round_trip = dice.chance(0.66);
    let mut line = Encoder::default();
    let (mut latitude, mut longitude) = from;
    line.push(latitude, longitude);
    let mut heading = (dice.between(-1.0, 1.0), dice.between(-1.0, 1.0));
    for step in 0..STEPS {
        if round_trip && step == STEPS / 2 {
            heading = (-heading.0, -heading.1);
        }
        latitude += stride * (heading.0 + dice.between(-0.7, 0.7));
        longitude += stride * (heading.1 + dice.between(-0.7, 0.7));
        line.push(latitude, longitude);
    }
    ((round_to(latitude, 6), round_to(longitude, 6)), line.text)
}

#[derive(Default)]
struct Encoder {
    text: String,
    last: (i64, i64),
}

impl Encoder {
    fn push(&mut self, latitude: f64, longitude: f64) {
        let next = (scaled(latitude, 5), scaled(longitude, 5));
        self.delta(next.0 - self.last.0);
        self.delta(next.1 - self.last.1);
        self.last = next;
    }

    fn delta(&mut self, delta: i64) {
        let mut rest = (delta << 1) ^ (delta >> 63);
        loop {
            let bits = u8::try_from(rest & 0x1f).unwrap_or(0);
            rest >>= 5;
            let more = if rest > 0 { 0x20 } else { 0 };
            self.text.push(char::from((bits | more) + 63));
            if rest == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_the_published_one() {
        let mut line = Encoder::default();
        line.push(38.5, -120.2);
        line.push(40.7, -120.95);
        line.push(43.252, -126.453);
        assert_eq!(line.text, "_p~iF~ps|U_ulLnnqC_mqNvxq`@");
    }

    #[test]
    fn an_outing_stays_in_the_neighbourhood() {
        for index in 0..200 {
            let (end, line) = outing(&mut Dice::new(1, 1, index), (52.5, 13.4), 10_000.0);
            assert!((end.0 - 52.5).abs() < 0.2 && (end.1 - 13.4).abs() < 0.2, "{end:?}");
            assert!(line.len() > usize::from(STEPS) * 2);
        }
    }
}
