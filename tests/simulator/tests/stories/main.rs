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
mod list;
#[cfg(test)]
mod population;
#[cfg(test)]
mod quota;
#[cfg(test)]
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod weather;
