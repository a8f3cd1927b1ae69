//! The consent page, as a browser and as a test pass it.

use paceline_simulator::Population;
use reqwest::header::LOCATION;
use url::Url;

use crate::client::World;

const ASK: &str = "/strava/oauth/authorize?client_id=5&response_type=code&state=x%20y\
    &redirect_uri=http%3A%2F%2Flocalhost%3A9%2Fback%3Fkeep%3D1&scope=read,activity:read_all";

async fn sent_back(world: &World, choice: &str) -> Vec<(String, String)> {
    let answer = world.get(&format!("{ASK}{choice}")).await;
    assert_eq!(answer.status(), 302);
    let location = Url::parse(answer.headers()[LOCATION].to_str().unwrap()).unwrap();
    assert_eq!(location.path(), "/back");
    location.query_pairs().into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn consent_sends_back_a_code_the_scope_and_the_state() {
    let world = World::new().await;
    let (athlete, _) = world.athlete(1);
    let pairs = sent_back(&world, &format!("&auto={athlete}")).await;
    assert_eq!(value(&pairs, "keep"), Some("1"));
    assert_eq!(value(&pairs, "state"), Some("x y"));
    assert_eq!(value(&pairs, "scope"), Some("read,activity:read_all"));
    let form = [("grant_type", "authorization_code"), ("code", value(&pairs, "code").unwrap())];
    assert_eq!(world.token(&form).await.status(), 200);
}

#[tokio::test]
async fn unticked_scopes_are_missing_from_the_answer_and_from_the_token() {
    let world = World::new().await;
    let (athlete, _) = world.athlete(1);
    let pairs = sent_back(&world, &format!("&auto={athlete}&granted=none&granted=read")).await;
    assert_eq!(value(&pairs, "scope"), Some("read"));
    let form = [("grant_type", "authorization_code"), ("code", value(&pairs, "code").unwrap())];
    let pair: serde_json::Value = world.token(&form).await.json().await.unwrap();
    let token = pair["access_token"].as_str().unwrap();
    assert_eq!(world.strava(token, "athlete/activities").await.status(), 401);
}

#[tokio::test]
async fn a_refusal_sends_back_an_error() {
    let world = World::new().await;
    let pairs = sent_back(&world, "&auto=deny").await;
    assert_eq!(value(&pairs, "error"), Some("access_denied"));
    assert_eq!(value(&pairs, "code"), None);
}

#[tokio::test]
async fn the_page_has_a_form_for_each_athlete_and_every_wrong_request_is_refused() {
    let world = World::new().await;
    let population = Population { activities: 12, ..Population::default() };
    let athlete = world.sim().add_athlete(&population).unwrap();
    let page = world.get(ASK).await.text().await.unwrap();
    assert!(page.contains(&format!("<button name=\"auto\" value=\"{athlete}\">")), "{page}");
    assert!(page.contains("(12 activities)") && page.contains("value=\"deny\""), "{page}");
    assert!(page.contains("value=\"http://localhost:9/back?keep=1\""), "{page}");
    for wrong in [
        ASK.replace("response_type=code", "response_type=token"),
        ASK.replace("http%3A%2F%2Flocalhost%3A9%2F", "nowhere"),
        ASK.replace("client_id=5&", ""),
        ASK.replace("scope=read", "scope=everything"),
    ] {
        assert_eq!(world.get(&wrong).await.status(), 400, "{wrong}");
    }
    assert_eq!(world.get(&format!("{ASK}&auto=12345")).await.status(), 404);
}

#[tokio::test]
async fn a_new_athlete_can_be_made_on_the_page() {
    let world = World::new().await;
    let pairs = sent_back(&world, "&auto=new").await;
    assert!(value(&pairs, "code").is_some());
    assert_eq!(world.sim().athletes().len(), 1);
}
