//! How fast the simulator answers: printed, not judged. Run with
//! `cargo test --release -p paceline-simulator --test stories -- --ignored --nocapture`.

use std::time::Instant;

use paceline_simulator::{Config, FULL_SCOPE, Population};

use crate::client::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "the figures are its result")]
async fn pages_and_weather_per_second() {
    let world = World::with(Config { log_capacity: 0, ..Config::default() }).await;
    let began = Instant::now();
    let population = Population { activities: 100_000, ..Population::default() };
    let athlete = world.sim().add_athlete(&population).expect("an athlete");
    let made = began.elapsed();
    let token = world.sim().grant(athlete, FULL_SCOPE).expect("a grant").access_token;

    let (began, mut pages, mut bytes) = (Instant::now(), 0_u32, 0);
    loop {
        let path = format!("athlete/activities?per_page=200&page={}", pages + 1);
        let body = world.strava(&token, &path).await.bytes().await.expect("a page");
        if body.as_ref() == b"[]" {
            break;
        }
        pages += 1;
        bytes += body.len();
    }
    let fetch = began.elapsed();

    let began = Instant::now();
    let names = "temperature_2m,relative_humidity_2m,apparent_temperature,precipitation,weather_code,\
        surface_pressure,wind_speed_10m,wind_direction_10m,cloud_cover";
    let path = "/open-meteo/archive/v1/archive?start_date=2024-01-01&end_date=2024-12-31&timeformat=unixtime";
    let url = format!(
        "{path}&latitude=52.5,52.6,45.5,48.1&longitude=13.4,13.4,-122.7,9.3&hourly={names}"
    );
    let weather = world.get(&url).await.bytes().await.expect("weather").len();
    let told = began.elapsed();
    println!("100,000 activities made in {made:?}");
    println!(
        "{pages} pages of 200 ({bytes} bytes) in {fetch:?}: {:.0} pages/s, {:?} each",
        f64::from(pages) / fetch.as_secs_f64(),
        fetch / pages
    );
    println!("4 cells x 366 days x 9 variables ({weather} bytes) in {told:?}");
}
