//! The simulator as a client sees it, over HTTP with `reqwest`.

#[cfg(test)]
mod client;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod controls;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fitbit;
#[cfg(test)]
mod fitbit_client;
#[cfg(test)]
mod fitbit_controls;
#[cfg(test)]
mod fitbit_tokens;
#[cfg(test)]
mod garmin;
#[cfg(test)]
mod garmin_backfill;
#[cfg(test)]
mod garmin_pull;
#[cfg(test)]
mod garmin_records;
#[cfg(test)]
mod list;
#[cfg(test)]
mod population;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod weather;
#[cfg(test)]
mod withings_client;
#[cfg(test)]
mod withings_limits;
#[cfg(test)]
mod withings_lists;
#[cfg(test)]
mod withings_oauth;
