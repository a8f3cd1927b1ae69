//! A measured value as its user reads it.

use chrono::{DateTime, NaiveDateTime, Utc};
use paceline_shared::{JobId, Provider, db::measurements::Row, record::Measure};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

/// A measured value.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Measurement)]
pub(crate) struct MeasurementView {
    /// Our id.
    pub(crate) id: Uuid,
    /// From where.
    pub(crate) provider: Provider,
    /// The provider's id; several values of one weighing share one.
    pub(crate) provider_record_id: String,
    /// The sync that last wrote it.
    pub(crate) sync_id: JobId,
    /// What was measured.
    #[schema(value_type = Measure)]
    pub(crate) r#type: String,
    /// Tells values apart that share an id and a type, as the part of the body.
    pub(crate) discriminator: Option<String>,
    /// As exact as the provider gave it.
    #[schema(value_type = f64, example = 72.345)]
    pub(crate) value: Exact,
    /// What the value is counted in; it follows from the type.
    #[schema(example = "kg")]
    pub(crate) unit: String,
    /// The instant.
    pub(crate) measured_at: DateTime<Utc>,
    /// What the clock on the wall said: no zone, on purpose.
    #[schema(value_type = String, example = "2026-05-03T07:30:00")]
    pub(crate) measured_local: NaiveDateTime,
    /// IANA zone, where it is known.
    #[schema(example = "Europe/Berlin")]
    pub(crate) zone: Option<String>,
    /// Seconds east of UTC then, daylight saving included.
    pub(crate) utc_offset_s: Option<i32>,
    /// Where the provider itself has it from, if it says so.
    pub(crate) origin_provider: Option<String>,
    /// Device, algorithm, by hand or not.
    #[schema(value_type = Object)]
    pub(crate) provenance: Value,
    /// What the provider sent, whole; only with `include=payload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    pub(crate) payload: Option<Value>,
    /// Rises with every change of content.
    pub(crate) version: i32,
    /// When it was last written.
    pub(crate) updated_at: DateTime<Utc>,
}

/// A decimal that is written as a JSON number, digit by digit: a float in between would round it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exact(pub(crate) Decimal);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl From<Row> for MeasurementView {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            provider: row.provider,
            provider_record_id: row.provider_record_id,
            sync_id: row.sync_job_id,
            r#type: row.measure,
            discriminator: Some(row.discriminator).filter(|text| !text.is_empty()),
            value: Exact(row.value),
            unit: row.unit,
            measured_at: row.measured_at,
            measured_local: row.measured_local,
            zone: row.zone,
            utc_offset_s: row.utc_offset_s,
            origin_provider: row.origin_provider,
            provenance: row.provenance,
            payload: row.payload,
            version: row.version,
            updated_at: row.updated_at,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn row() -> Row {
        Row {
            id: Uuid::now_v7(),
            provider: Provider::Withings,
            provider_record_id: "4221".to_owned(),
            sync_job_id: JobId::fresh(),
            measure: Measure::Weight.as_str().to_owned(),
            discriminator: String::new(),
            value: Decimal::new(72_340, 3),
            unit: Measure::Weight.unit().to_owned(),
            measured_at: "2026-05-03T05:30:00Z".parse().unwrap(),
            measured_local: "2026-05-03T07:30:00".parse().unwrap(),
            zone: Some("Europe/Paris".to_owned()),
            utc_offset_s: Some(7_200),
            origin_provider: None,
            provenance: json!({"device": "scale"}),
            payload: None,
            version: 1,
            updated_at: "2026-05-03T08:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_value_is_a_number_with_all_its_digits() {
        for (value, text) in [
            (Decimal::new(72_340, 3), "72.340"),
            (Decimal::new(-5, 1), "-0.5"),
            (Decimal::new(7, 0), "7"),
            (Decimal::new(1, 10), "0.0000000001"),
            (Decimal::new(123_456_789_012_345_678, 5), "1234567890123.45678"),
        ] {
            let view = MeasurementView::from(Row { value, ..row() });
            let json = serde_json::to_string(&view).unwrap();
            assert!(json.contains(&format!("\"value\":{text},")), "{json}");
            assert!(serde_json::from_str::<Value>(&json).unwrap()["value"].is_number());
        }
    }

    #[test]
    fn what_is_not_there_is_null_and_the_payload_comes_when_asked_for() {
        let view = serde_json::to_value(MeasurementView::from(row())).unwrap();
        assert_eq!((&view["type"], &view["unit"]), (&json!("weight"), &json!("kg")));
        assert_eq!(view["discriminator"], Value::Null);
        assert_eq!(view["measuredLocal"], "2026-05-03T07:30:00", "a time on the wall has no zone");
        assert!(view.get("payload").is_none());
        let with =
            Row { payload: Some(json!({"grpid": 1})), discriminator: "1".to_owned(), ..row() };
        let view = serde_json::to_value(MeasurementView::from(with)).unwrap();
        assert_eq!((&view["payload"]["grpid"], &view["discriminator"]), (&json!(1), &json!("1")));
    }
}
