//! Canonical records: what every provider's items become. Measurements and days are here, activities in
//! [`crate::activity`]. It knows no provider's field names.

use crate::activity::Activity;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A record of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Something done.
    Activity(Box<Activity>),
    /// Something measured.
    Measurement(Box<Measurement>),
    /// A day or a night as a whole.
    Day(Box<DaySummary>),
}

/// Where a record is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// `activities`.
    Activities,
    /// `measurements`.
    Measurements,
    /// `daily_summaries`.
    DailySummaries,
}

/// A part of one list that was read completely.
#[derive(Clone, Copy, Debug)]
pub struct Replaceable<'a> {
    /// The list.
    pub stream: &'a str,
    /// From this time of a record on, included; `None`: from the beginning.
    pub from: Option<DateTime<Utc>>,
    /// To this time, excluded.
    pub to: DateTime<Utc>,
}

/// A measured value.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The provider's id, as text.
    pub record_id: String,
    /// What was measured; its unit follows from it.
    pub measure: Measure,
    /// Tells records apart that the provider gives one id and one type.
    pub discriminator: String,
    /// In [`Measure::unit`], as exact as the provider's.
    pub value: Decimal,
    /// When.
    pub measured_at: DateTime<Utc>,
    /// What the clock on the wall said.
    pub measured_local: NaiveDateTime,
    /// IANA zone, when it is known and exists.
    pub zone: Option<String>,
    /// Seconds east of UTC then, daylight saving included.
    pub utc_offset_s: Option<i32>,
    /// Another provider from which this one has it.
    pub upstream: Option<String>,
    /// Device, algorithm, by hand or not: a JSON object.
    pub provenance: Value,
    /// The provider's own order of edits: a lower one never replaces a higher one.
    pub revision: Option<i64>,
}

/// A day's totals, or a night.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns, each with its unit in its name or its comment in the migration"
)]
pub struct DaySummary {
    /// The provider's id, as text.
    pub record_id: String,
    pub kind: DayKind,
    /// The day; a night belongs to the day on which it ended.
    pub day: NaiveDate,
    pub start_at: Option<DateTime<Utc>>,
    pub end_at: Option<DateTime<Utc>>,
    /// IANA zone, when it is known and exists.
    pub zone: Option<String>,
    pub utc_offset_s: Option<i32>,
    pub totals: Totals,
    /// Device, algorithm: a JSON object.
    pub provenance: Value,
    /// The provider's own order of edits: a lower one never replaces a higher one.
    pub revision: Option<i64>,
}

/// What a day or a night sums up to. What the provider does not tell is `None`, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns, each with its unit in its name or its comment in the migration"
)]
pub struct Totals {
    pub steps: Option<i32>,
    pub distance_m: Option<f64>,
    pub floors: Option<i32>,
    pub active_energy_j: Option<f64>,
    pub total_energy_j: Option<f64>,
    pub active_s: Option<i32>,
    pub intense_s: Option<i32>,
    pub resting_heart_rate_bpm: Option<f32>,
    pub average_heart_rate_bpm: Option<f32>,
    pub max_heart_rate_bpm: Option<f32>,
    pub average_stress: Option<f32>,
    pub asleep_s: Option<i32>,
    pub awake_s: Option<i32>,
    pub light_s: Option<i32>,
    pub deep_s: Option<i32>,
    pub rem_s: Option<i32>,
    pub sleep_score: Option<f32>,
    pub is_nap: Option<bool>,
}

/// What a summary sums up.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DayKind {
    /// What was done in a day.
    Activity,
    /// A sleep.
    Sleep,
}

impl DayKind {
    /// The name in every table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Sleep => "sleep",
        }
    }
}

macro_rules! measures {
    ($($(#[$doc:meta])* $name:ident $text:tt $unit:literal),+ $(,)?) => {
        /// What can be measured. Each has one name on every wire and one unit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Measure { $($(#[$doc])* #[serde(rename = $text)] $name),+ }

        impl Measure {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name on every wire and in the table.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// The unit of its values. Pressures of blood stay in mmHg, in which they are measured, decided on
            /// and given everywhere: in pascals they would be rounded.
            #[must_use]
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$name => $unit),+ }
            }
        }
    };
}

measures! {
    /// Body mass.
    Weight "weight" "kg",
    /// Body height.
    Height "height" "m",
    /// Mass without fat.
    FatFreeMass "fat_free_mass" "kg",
    /// Share of fat.
    BodyFat "body_fat" "%",
    /// Mass of fat.
    FatMass "fat_mass" "kg",
    /// Mass of muscle.
    MuscleMass "muscle_mass" "kg",
    /// Mass of water.
    Hydration "hydration" "kg",
    /// Share of water.
    BodyWater "body_water" "%",
    /// Mass of bone.
    BoneMass "bone_mass" "kg",
    /// Mass by height squared.
    BodyMassIndex "body_mass_index" "kg/m2",
    /// Water outside the cells.
    ExtracellularWater "extracellular_water" "kg",
    /// Water inside the cells.
    IntracellularWater "intracellular_water" "kg",
    /// An index without unit.
    VisceralFat "visceral_fat" "index",
    /// Mass without fat of a part of the body; the discriminator names the part.
    SegmentalFatFreeMass "segmental_fat_free_mass" "kg",
    /// Fat of a part of the body; the discriminator names the part.
    SegmentalFatMass "segmental_fat_mass" "kg",
    /// Muscle of a part of the body; the discriminator names the part.
    SegmentalMuscleMass "segmental_muscle_mass" "kg",
    /// Lower pressure of the blood.
    BloodPressureDiastolic "blood_pressure_diastolic" "mmHg",
    /// Upper pressure of the blood.
    BloodPressureSystolic "blood_pressure_systolic" "mmHg",
    /// Heart beats.
    HeartRate "heart_rate" "bpm",
    /// Temperature where it was measured.
    Temperature "temperature" "degC",
    /// Temperature of the body.
    BodyTemperature "body_temperature" "degC",
    /// Temperature of the skin.
    SkinTemperature "skin_temperature" "degC",
    /// Oxygen saturation of the blood.
    Spo2 "spo2" "%",
    /// Speed of the pulse wave.
    PulseWaveVelocity "pulse_wave_velocity" "m/s",
    /// Largest uptake of oxygen.
    Vo2Max "vo2max" "mL/(kg min)",
    /// What an electrocardiogram says of atrial fibrillation, as the provider numbers it.
    AfibEcg "afib_ecg" "class",
    /// Interval of an electrocardiogram.
    QrsInterval "qrs_interval" "ms",
    /// Interval of an electrocardiogram.
    PrInterval "pr_interval" "ms",
    /// Interval of an electrocardiogram.
    QtInterval "qt_interval" "ms",
    /// Interval of an electrocardiogram, corrected for the rate.
    CorrectedQtInterval "corrected_qt_interval" "ms",
    /// Age of the vessels.
    VascularAge "vascular_age" "year",
    /// Age by metabolism.
    MetabolicAge "metabolic_age" "year",
    /// Energy at rest in a day.
    BasalMetabolicRate "basal_metabolic_rate" "kcal/day",
    /// Activity of the sweat glands; the discriminator names the foot where there are two.
    ElectrodermalActivity "electrodermal_activity" "uS",
    /// Conductance of the skin.
    SkinConductance "skin_conductance" "uS",
    /// Age by fitness.
    FitnessAge "fitness_age" "year",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_measure_has_a_name_of_its_own_and_is_found_by_it() {
        let mut names: Vec<_> = Measure::ALL.iter().map(|measure| measure.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Measure::ALL.len());
        for measure in Measure::ALL {
            assert_eq!(serde_json::to_value(measure).unwrap(), measure.as_str());
        }
    }
}
