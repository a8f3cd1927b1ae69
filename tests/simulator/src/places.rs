//! Where people train: cities they live in and travel to, and spots far from any town.
//!
//! Owns names, coordinates and time zones. Must not know activities.

use chrono_tz::Tz;

/// A spot that activities start near.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) city: &'static str,
    pub(crate) state: &'static str,
    pub(crate) country: &'static str,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) elevation_m: f64,
    pub(crate) zone: Tz,
}

impl Place {
    /// False at sea, on ice and in deserts, where no town is within a day's walk.
    pub(crate) fn is_city(&self) -> bool {
        !self.city.is_empty()
    }
}

/// Cities first (`CITIES` of them), then the remote spots.
pub(crate) const PLACES: [Place; 34] = [
    city("Berlin", "Berlin", "Germany", 52.520, 13.405, 38.0, Tz::Europe__Berlin),
    city("Portland", "Oregon", "United States", 45.523, -122.676, 30.0, Tz::America__Los_Angeles),
    city("Boulder", "Colorado", "United States", 40.015, -105.271, 1640.0, Tz::America__Denver),
    city("Chicago", "Illinois", "United States", 41.878, -87.640, 181.0, Tz::America__Chicago),
    city("Boston", "Massachusetts", "United States", 42.360, -71.090, 14.0, Tz::America__New_York),
    city("Phoenix", "Arizona", "United States", 33.448, -112.074, 331.0, Tz::America__Phoenix),
    city("Toronto", "Ontario", "Canada", 43.690, -79.400, 90.0, Tz::America__Toronto),
    city("Mexico City", "CDMX", "Mexico", 19.432, -99.133, 2240.0, Tz::America__Mexico_City),
    city("Bogotá", "Bogota D.C.", "Colombia", 4.640, -74.090, 2600.0, Tz::America__Bogota),
    city("Santiago", "RM", "Chile", -33.449, -70.650, 560.0, Tz::America__Santiago),
    city("São Paulo", "São Paulo", "Brazil", -23.560, -46.650, 760.0, Tz::America__Sao_Paulo),
    city("London", "England", "United Kingdom", 51.510, -0.120, 15.0, Tz::Europe__London),
    city("Girona", "Catalunya", "Spain", 41.983, 2.823, 75.0, Tz::Europe__Madrid),
    city("Lyon", "Rhône", "France", 45.760, 4.840, 170.0, Tz::Europe__Paris),
    city("Zürich", "Zürich", "Switzerland", 47.377, 8.540, 408.0, Tz::Europe__Zurich),
    city("Bologna", "Emilia-Romagna", "Italy", 44.495, 11.343, 54.0, Tz::Europe__Rome),
    city("København", "Hovedstaden", "Denmark", 55.680, 12.540, 10.0, Tz::Europe__Copenhagen),
    city("Oslo", "Oslo", "Norway", 59.920, 10.750, 23.0, Tz::Europe__Oslo),
    city("Kraków", "Małopolskie", "Poland", 50.062, 19.938, 219.0, Tz::Europe__Warsaw),
    city("Athens", "Attica", "Greece", 37.995, 23.735, 70.0, Tz::Europe__Athens),
    city("Nairobi", "Nairobi", "Kenya", -1.286, 36.817, 1680.0, Tz::Africa__Nairobi),
    city(
        "Cape Town",
        "Western Cape",
        "South Africa",
        -33.930,
        18.460,
        40.0,
        Tz::Africa__Johannesburg,
    ),
    city("Tehran", "Tehran", "Iran", 35.700, 51.400, 1190.0, Tz::Asia__Tehran),
    city("Pune", "Maharashtra", "India", 18.520, 73.856, 560.0, Tz::Asia__Kolkata),
    city("Kathmandu", "Bagmati", "Nepal", 27.710, 85.320, 1400.0, Tz::Asia__Kathmandu),
    city("Chiang Mai", "Chiang Mai", "Thailand", 18.790, 98.985, 310.0, Tz::Asia__Bangkok),
    city("Tokyo", "Tokyo", "Japan", 35.690, 139.700, 40.0, Tz::Asia__Tokyo),
    city(
        "Adelaide",
        "South Australia",
        "Australia",
        -34.920,
        138.600,
        50.0,
        Tz::Australia__Adelaide,
    ),
    city("Sydney", "New South Wales", "Australia", -33.880, 151.180, 20.0, Tz::Australia__Sydney),
    city("Auckland", "Auckland", "New Zealand", -36.870, 174.765, 30.0, Tz::Pacific__Auckland),
    // A sailing trainer, an ice camp, a desert crossing, the middle of the South Pacific.
    remote(30.000, -45.000, 0.0, Tz::Etc__GMTPlus3),
    remote(72.600, -38.500, 3200.0, Tz::America__Nuuk),
    remote(20.800, 14.000, 420.0, Tz::Africa__Ndjamena),
    remote(-48.900, -123.400, 0.0, Tz::Etc__GMTPlus8),
];

/// How many of [`PLACES`] are cities.
pub(crate) const CITIES: u8 = 30;

const fn city(
    city: &'static str,
    state: &'static str,
    country: &'static str,
    latitude: f64,
    longitude: f64,
    elevation_m: f64,
    zone: Tz,
) -> Place {
    Place { city, state, country, latitude, longitude, elevation_m, zone }
}

const fn remote(latitude: f64, longitude: f64, elevation_m: f64, zone: Tz) -> Place {
    Place { city: "", state: "", country: "", latitude, longitude, elevation_m, zone }
}

/// The nearest city and how far its centre is, in kilometres.
pub(crate) fn nearest_city(latitude: f64, longitude: f64) -> (&'static Place, f64) {
    let mut best = (&PLACES[0], f64::INFINITY);
    for place in PLACES.iter().filter(|place| place.is_city()) {
        let distance_km = distance_km((latitude, longitude), (place.latitude, place.longitude));
        if distance_km < best.1 {
            best = (place, distance_km);
        }
    }
    best
}

fn distance_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (phi_a, phi_b) = (from.0.to_radians(), to.0.to_radians());
    let half_phi = ((to.0 - from.0).to_radians() / 2.0).sin();
    let half_lambda = ((to.1 - from.1).to_radians() / 2.0).sin();
    let chord = half_phi.mul_add(half_phi, phi_a.cos() * phi_b.cos() * half_lambda * half_lambda);
    2.0 * 6371.0 * chord.sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_its_cities_first() {
        let cities = PLACES.iter().take_while(|place| place.is_city()).count();
        assert_eq!(cities, usize::from(CITIES));
        assert!(PLACES[cities..].iter().all(|place| !place.is_city()));
    }

    #[test]
    fn remote_spots_are_far_from_every_city_of_the_table() {
        for spot in PLACES.iter().filter(|place| !place.is_city()) {
            let (_, distance_km) = nearest_city(spot.latitude, spot.longitude);
            assert!(distance_km > 1000.0, "{distance_km} km");
        }
    }

    #[test]
    fn a_suburb_belongs_to_its_city() {
        let (place, distance_km) = nearest_city(52.45, 13.35);
        assert_eq!(place.city, "Berlin");
        assert!(distance_km > 5.0 && distance_km < 12.0);
    }
}
