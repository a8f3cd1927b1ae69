//! Names of places by position, without asking anybody: the nearest populated place of the table
//! that the crate `reverse_geocoder` carries.
//!
//! The table is derived from `GeoNames` (<https://www.geonames.org>), licensed CC BY 4.0: places of
//! 1,000 inhabitants and more. In memory it takes 49 MB, and building it 76 ms; so a process builds
//! it once, and only when the first name is wanted.

use paceline_shared::activity::{Place, Position};
use reverse_geocoder::{Record, ReverseGeocoder};
use std::sync::LazyLock;

/// The farthest that a place may be to give its name, in metres.
///
/// The table knows points, not borders: the nearest point is not the city that contains a position.
/// Near a town that hardly matters. In a desert or at sea the nearest name would be a lie, so beyond
/// this there is none.
pub const FARTHEST_M: f64 = 30_000.0;

/// Mean radius of the Earth, IUGG.
const EARTH_RADIUS_M: f64 = 6_371_008.8;

static TABLE: LazyLock<ReverseGeocoder> = LazyLock::new(ReverseGeocoder::new);

/// Builds the table now rather than at the first [`nearest`].
pub fn load() {
    LazyLock::force(&TABLE);
}

/// The place nearest to a position, with the distance to it; `None` where none is near.
#[must_use]
pub fn nearest(at: Position) -> Option<Place> {
    let (found, distance_m) = search(Position::on_earth(at.lat, at.lon)?);
    if distance_m > FARTHEST_M || found.name.is_empty() {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 30 km")]
    let distance_m = distance_m as f32;
    Some(Place {
        city: found.name.clone(),
        state: (!found.admin1.is_empty()).then(|| found.admin1.clone()),
        country: found.cc.clone(),
        distance_m,
    })
}

fn search(at: Position) -> (&'static Record, f64) {
    let record = TABLE.search((at.lat, at.lon)).record;
    // The crate's own distance is a squared chord of the unit sphere.
    (record, great_circle_m(at, Position { lat: record.lat, lon: record.lon }))
}

/// Metres from one position to another over a spherical Earth (haversine): 0.5 % off at worst.
pub(crate) fn great_circle_m(from: Position, to: Position) -> f64 {
    let half_sine = |degrees: f64| (degrees.to_radians() / 2.0).sin();
    let chord = half_sine(to.lat - from.lat).powi(2)
        + from.lat.to_radians().cos()
            * to.lat.to_radians().cos()
            * half_sine(to.lon - from.lon).powi(2);
    2.0 * EARTH_RADIUS_M * chord.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lat: f64, lon: f64) -> Option<Place> {
        nearest(Position { lat, lon })
    }

    #[test]
    fn known_places_have_their_names() {
        for (lat, lon, city, state, country) in [
            (40.7831, -73.9712, "Manhattan", Some("New York"), "US"),
            (-33.868, 151.207, "Sydney", Some("New South Wales"), "AU"),
            (48.1374, 11.5755, "Munich", Some("Bavaria"), "DE"),
            (35.0116, 135.768, "Kyoto", Some("Kyoto"), "JP"),
            (-54.8019, -68.303, "Ushuaia", Some("Tierra del Fuego"), "AR"),
        ] {
            let place = at(lat, lon).unwrap();
            assert_eq!(
                (place.city.as_str(), place.state.as_deref(), place.country.as_str()),
                (city, state, country)
            );
            assert!(place.distance_m < 5_000.0, "{place:?}");
        }
    }

    #[test]
    fn a_place_without_a_first_level_has_no_state() {
        let valley = at(18.217, -63.058).unwrap();
        assert_eq!((valley.city.as_str(), valley.country.as_str()), ("The Valley", "AI"));
        assert_eq!(valley.state, None);
    }

    #[test]
    fn far_from_everything_there_is_no_name() {
        for (lat, lon) in
            [(0.0, -30.0), (-48.88, -123.39), (23.5, 11.0), (0.0, 0.0), (30.0, -179.9)]
        {
            assert_eq!(at(lat, lon), None, "{lat}, {lon}");
        }
    }

    #[test]
    fn the_distance_kept_is_to_the_places_centre() {
        let kyoto = at(35.0116, 135.768).unwrap();
        let north = at(35.0116 + 0.01, 135.768).unwrap();
        assert!((0.0..30_000.0).contains(&kyoto.distance_m));
        assert!((f64::from(kyoto.distance_m) - f64::from(north.distance_m)).abs() <= 1_113.0);
    }

    #[test]
    fn the_date_line_is_no_border() {
        // The table's last town before the line, seen from behind it.
        let (town, distance_m) = search(Position { lat: 63.061, lon: -179.99 });
        assert_eq!(town.name, "Beringovskiy");
        assert!((32_000.0..34_500.0).contains(&distance_m), "{distance_m}");
    }

    #[test]
    fn poles_and_nonsense_have_no_name() {
        for (lat, lon) in
            [(90.0, 0.0), (-90.0, 180.0), (f64::NAN, 0.0), (0.0, f64::INFINITY), (91.0, 0.0)]
        {
            assert_eq!(at(lat, lon), None, "{lat}, {lon}");
        }
    }

    #[test]
    fn great_circles_have_their_known_lengths() {
        let between = |a: (f64, f64), b: (f64, f64)| {
            great_circle_m(Position { lat: a.0, lon: a.1 }, Position { lat: b.0, lon: b.1 })
        };
        assert!((between((0.0, 0.0), (0.0, 180.0)) - 20_015_114.0).abs() < 2.0, "half the equator");
        assert!((between((90.0, 12.0), (-90.0, 77.0)) - 20_015_114.0).abs() < 2.0, "pole to pole");
        assert!((between((52.52, 13.405), (48.8566, 2.3522)) - 877_460.0).abs() < 1_000.0);
    }
}
