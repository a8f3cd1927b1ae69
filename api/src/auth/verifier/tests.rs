//! Tokens against real keys, made here and published by a small server.

use super::*;
use crate::config;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
    },
};
use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp, jwk::Jwk};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const ISSUER: &str = "https://issuer.example";

/// A key pair with its id.
struct Signer {
    kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    fn ed25519(kid: &'static str) -> Self {
        let der = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
        Self { kid, algorithm: Algorithm::EdDSA, key: EncodingKey::from_ed_der(der.as_ref()) }
    }

    fn p256(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let der = pair.to_pkcs8v1().unwrap();
        Self { kid, algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(der.as_ref()) }
    }

    fn rsa(kid: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        assert!(pair.public_key().as_ref().len() > 256, "2048 bits");
        Self { kid, algorithm: Algorithm::RS256, key }
    }

    fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.to_owned());
        encode(&header, claims, &self.key).unwrap()
    }
}

/// Good claims, and changes to them; null takes a claim away.
fn claims(changes: &Value) -> Value {
    let now = get_current_timestamp();
    let mut claims = json!({"iss": ISSUER, "sub": "user_1", "iat": now, "exp": now + 60});
    let members = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    members.retain(|_, value| !value.is_null());
    claims
}

/// A published key set that counts its readers and can fall silent.
struct KeyServer {
    url: url::Url,
    keys: Arc<Mutex<Option<Vec<Value>>>>,
    calls: Arc<AtomicUsize>,
}

impl KeyServer {
    async fn start(keys: Vec<Value>) -> Self {
        let keys = Arc::new(Mutex::new(Some(keys)));
        let calls = Arc::new(AtomicUsize::new(0));
        let (published, counted) = (keys.clone(), calls.clone());
        let answer = async move || {
            counted.fetch_add(1, Ordering::SeqCst);
            match &*published.lock().unwrap() {
                Some(keys) => json!({"keys": keys}).to_string().into_response(),
                None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap()).parse().unwrap();
        let app = Router::new().route("/jwks.json", get(answer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, keys, calls }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn profile(&self) -> KeySet {
        let mut set = KeySet::new(self.url.clone(), ISSUER);
        set.algorithms =
            vec![config::Algorithm::Rs256, config::Algorithm::Es256, config::Algorithm::EdDsa];
        set
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(vec![Issuer::KeySet(self.profile())], false).unwrap()
    }
}

async fn refusal(verifier: &Verifier, token: &str) -> Refusal {
    verifier.verify(token).await.unwrap_err()
}

#[tokio::test]
async fn each_algorithm_of_the_profile_is_accepted() {
    let signers = [Signer::rsa("r"), Signer::p256("e"), Signer::ed25519("d")];
    let server = KeyServer::start(signers.iter().map(Signer::jwk).collect()).await;
    let verifier = server.verifier();
    for signer in &signers {
        let told =
            verifier.verify(&signer.sign(&claims(&json!({"role": "service_role"})))).await.unwrap();
        assert_eq!(
            told,
            Verified {
                subject: "user_1".to_owned(),
                role: Some("service_role".to_owned()),
                staff: None
            }
        );
    }
    assert_eq!(server.calls(), 1, "the keys are kept");
}

#[tokio::test]
async fn claims_that_do_not_hold_are_refused_each_for_its_reason() {
    let signer = Signer::ed25519("a");
    let server = KeyServer::start(vec![signer.jwk()]).await;
    let verifier = server.verifier();
    let now = get_current_timestamp();
    for (changes, reason) in [
        (json!({"exp": now - 6}), Refusal::Expired),
        (json!({"exp": null}), Refusal::Malformed),
        (json!({"exp": "tomorrow"}), Refusal::Malformed),
        (json!({"nbf": now + 10}), Refusal::NotYetValid),
        (json!({"iss": "https://other.example"}), Refusal::Issuer),
        (json!({"iss": [ISSUER]}), Refusal::Malformed),
        (json!({"iss": null}), Refusal::Malformed),
        (json!({"sub": null}), Refusal::Subject),
        (json!({"sub": 5}), Refusal::Malformed),
        (json!({"sub": ""}), Refusal::Subject),
        (json!({"sub": "a\u{0}b"}), Refusal::Subject),
        (json!({"sub": "x".repeat(256)}), Refusal::Subject),
    ] {
        assert_eq!(refusal(&verifier, &signer.sign(&claims(&changes))).await, reason, "{changes}");
    }
    for changes in [json!({"exp": now - 3}), json!({"nbf": now + 4}), json!({"aud": "anything"})] {
        verifier.verify(&signer.sign(&claims(&changes))).await.unwrap();
    }
}

#[tokio::test]
async fn a_signature_counts_only_with_the_published_key_over_the_very_text() {
    let (signer, imposter) = (Signer::ed25519("a"), Signer::ed25519("a"));
    let server = KeyServer::start(vec![signer.jwk()]).await;
    let verifier = server.verifier();
    assert_eq!(refusal(&verifier, &imposter.sign(&claims(&json!({})))).await, Refusal::Signature);

    let token = signer.sign(&claims(&json!({})));
    let other = signer.sign(&claims(&json!({"sub": "user_2"})));
    let part = |token: &str, n: usize| token.split('.').nth(n).unwrap().to_owned();
    let swapped = format!("{}.{}.{}", part(&token, 0), part(&other, 1), part(&token, 2));
    assert_eq!(refusal(&verifier, &swapped).await, Refusal::Signature);
    let cut = format!("{}.{}.", part(&token, 0), part(&token, 1));
    assert_eq!(refusal(&verifier, &cut).await, Refusal::Signature);
    for nonsense in ["", "a", "a.b", "a.b.c", "....", &token[1..], &format!("{token}.x")] {
        assert_eq!(refusal(&verifier, nonsense).await, Refusal::Malformed, "{nonsense}");
    }
}

#[tokio::test]
async fn the_header_does_not_choose_how_it_is_checked() {
    let (rsa, ec) = (Signer::rsa("r"), Signer::p256("e"));
    let server = KeyServer::start(vec![rsa.jwk(), ec.jwk()]).await;
    let verifier = server.verifier();
    let raw = |header: Value, signature: &str| {
        let text = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{signature}", text(header), text(claims(&json!({}))))
    };
    // No signature at all.
    for none in ["none", "None", "NONE"] {
        assert_eq!(
            refusal(&verifier, &raw(json!({"alg": none, "kid": "r"}), "")).await,
            Refusal::Malformed
        );
    }
    // The public key as if it were a shared secret.
    let public = rsa.jwk().to_string();
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("r".to_owned());
    let forged =
        encode(&header, &claims(&json!({})), &EncodingKey::from_secret(public.as_bytes())).unwrap();
    assert_eq!(refusal(&verifier, &forged).await, Refusal::Algorithm);
    // An accepted algorithm, with the key of another.
    let crossed = Signer { kid: "r", ..ec };
    assert_eq!(refusal(&verifier, &crossed.sign(&claims(&json!({})))).await, Refusal::Algorithm);
    // One that the profile does not list.
    let mut rs256_only = server.profile();
    rs256_only.algorithms = vec![config::Algorithm::Rs256];
    let strict = Verifier::new(vec![Issuer::KeySet(rs256_only)], false).unwrap();
    strict.verify(&rsa.sign(&claims(&json!({})))).await.unwrap();
    let other = Signer { kid: "e", ..crossed };
    assert_eq!(refusal(&strict, &other.sign(&claims(&json!({})))).await, Refusal::Algorithm);
    // An extension that nobody here understands.
    assert_eq!(
        refusal(&verifier, &raw(json!({"alg": "RS256", "kid": "r", "crit": ["b64"]}), "")).await,
        Refusal::Malformed
    );
    // Without a key id there is nothing to look for.
    assert_eq!(refusal(&verifier, &raw(json!({"alg": "RS256"}), "")).await, Refusal::UnknownKey);
}

#[tokio::test]
async fn a_local_token_and_a_published_key_never_stand_for_each_other() {
    let signer = Signer::ed25519("a");
    let shared =
        json!({"kty": "oct", "kid": "s", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode([7; 32])});
    let server = KeyServer::start(vec![signer.jwk(), shared]).await;
    let secret = local::Secret::from_bytes([7; 32]);
    let both = vec![Issuer::KeySet(server.profile()), Issuer::Local(secret.clone())];
    let verifier = Verifier::new(both, true).unwrap();

    let token = local::issue(&secret, "demo-1", None, Duration::from_mins(1)).unwrap();
    assert_eq!(verifier.verify(&token).await.unwrap().subject, "demo-1");
    let ended = local::issue(&secret, "demo-1", None, Duration::ZERO).unwrap();
    verifier.verify(&ended).await.unwrap(); // Within the leeway.
    let other = local::Secret::generate().unwrap();
    let forged = local::issue(&other, "demo-1", None, Duration::from_mins(1)).unwrap();
    assert_eq!(refusal(&verifier, &forged).await, Refusal::Signature);
    // The local issuer's name with a published key.
    let posing = signer.sign(&claims(&json!({"iss": local::ISSUER})));
    assert_eq!(refusal(&verifier, &posing).await, Refusal::Algorithm);
    // The published issuer's name with a shared secret, which the set even lists.
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("s".to_owned());
    let posing = encode(&header, &claims(&json!({})), &EncodingKey::from_secret(&[7; 32])).unwrap();
    assert_eq!(refusal(&verifier, &posing).await, Refusal::Algorithm);
    // Where no local issuer is configured, its tokens are anybody's.
    assert_eq!(refusal(&server.verifier(), &token).await, Refusal::Issuer);
}

#[tokio::test]
async fn audience_session_and_party_are_checked_where_the_profile_asks() {
    let signer = Signer::ed25519("a");
    let server = KeyServer::start(vec![signer.jwk()]).await;
    let mut profile = server.profile();
    profile.audience = Some("paceline".to_owned());
    profile.require_session = true;
    profile.authorized_parties = vec!["https://app.example".to_owned()];
    let verifier = Verifier::new(vec![Issuer::KeySet(profile)], false).unwrap();
    let good = json!({"aud": ["other", "paceline"], "sid": "s", "azp": "https://app.example"});
    let sign = |changes: &Value| {
        let mut all = good.clone();
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        signer.sign(&claims(&all))
    };
    for accepted in
        [json!({}), json!({"aud": "paceline"}), json!({"azp": null}), json!({"sts": "active"})]
    {
        verifier.verify(&sign(&accepted)).await.unwrap();
    }
    for (changes, reason) in [
        (json!({"aud": "other"}), Refusal::Audience),
        (json!({"aud": null}), Refusal::Audience),
        (json!({"sid": null}), Refusal::Session),
        (json!({"sts": "pending"}), Refusal::Session),
        (json!({"azp": "https://evil.example"}), Refusal::Party),
    ] {
        assert_eq!(refusal(&verifier, &sign(&changes)).await, reason, "{changes}");
    }
}

#[tokio::test]
async fn a_flood_of_unknown_keys_costs_the_issuer_two_calls_and_a_new_key_is_found() {
    let (old, new) = (Signer::ed25519("old"), Signer::ed25519("new"));
    let server = KeyServer::start(vec![old.jwk()]).await;
    let verifier = Arc::new(server.verifier());
    verifier.verify(&old.sign(&claims(&json!({})))).await.unwrap();

    *server.keys.lock().unwrap() = Some(vec![old.jwk(), new.jwk()]);
    verifier.verify(&new.sign(&claims(&json!({})))).await.unwrap();
    assert_eq!(server.calls(), 2, "an unknown key is asked for at once");

    let stranger = Signer::ed25519("stranger").sign(&claims(&json!({})));
    let flood = (0..200).map(|_| {
        let (verifier, stranger) = (verifier.clone(), stranger.clone());
        tokio::spawn(async move { verifier.verify(&stranger).await })
    });
    for answer in futures::future::join_all(flood).await {
        assert_eq!(answer.unwrap(), Err(Refusal::UnknownKey));
    }
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn many_callers_at_once_share_the_first_call() {
    let signer = Signer::ed25519("a");
    let server = KeyServer::start(vec![signer.jwk()]).await;
    let verifier = Arc::new(server.verifier());
    let token = signer.sign(&claims(&json!({})));
    let callers = (0..50).map(|_| {
        let (verifier, token) = (verifier.clone(), token.clone());
        tokio::spawn(async move { verifier.verify(&token).await })
    });
    for answer in futures::future::join_all(callers).await {
        answer.unwrap().unwrap();
    }
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_no_fault_of_the_token() {
    let signer = Signer::ed25519("a");
    let server = KeyServer::start(vec![]).await;
    *server.keys.lock().unwrap() = None;
    let verifier = server.verifier();
    for _ in 0..3 {
        assert_eq!(
            refusal(&verifier, &signer.sign(&claims(&json!({})))).await,
            Refusal::KeysUnavailable
        );
    }
    assert_eq!(server.calls(), 1, "not every request asks again");
}

#[test]
fn a_list_of_issuers_that_nobody_could_mean_is_refused() {
    let secret = local::Secret::from_bytes([1; 32]);
    let set = || KeySet::new("http://127.0.0.1/keys".parse().unwrap(), ISSUER);
    let refused = |issuers, allow_local| Verifier::new(issuers, allow_local).err().unwrap();
    assert!(matches!(
        refused(vec![Issuer::Local(secret.clone())], false),
        Error::LocalIssuerRefused
    ));
    assert!(matches!(refused(vec![], true), Error::NoIssuer));
    assert!(matches!(
        refused(vec![Issuer::KeySet(set()), Issuer::KeySet(set())], false),
        Error::IssuerTwice(_)
    ));
    let mut posing = set();
    posing.issuer = local::ISSUER.to_owned();
    assert!(matches!(
        refused(vec![Issuer::Local(secret), Issuer::KeySet(posing)], true),
        Error::IssuerTwice(_)
    ));
    let mut nothing = set();
    nothing.algorithms.clear();
    assert!(matches!(refused(vec![Issuer::KeySet(nothing)], false), Error::NoAlgorithm(_)));
}
