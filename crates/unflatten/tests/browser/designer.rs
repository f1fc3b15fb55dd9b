//! What a designer does with a poster, as a script: the belly joins the whale, the title has other words, the sun moves, and
//! a PSD leaves.

use image::{Rgba, RgbaImage};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::service::Service;
use crate::support::Client;

/// In the belly, which is drawn in the colours of what is behind the whale.
const BELLY: (u32, u32) = (300, 790);
/// In the whale's back, and around all of it.
const BACK: (u32, u32) = (400, 600);
const WHALE: [u32; 4] = [145, 495, 825, 395];
/// Middle of the sun, how far it goes, and where it is seen then.
const SUN: (u32, u32) = (770, 275);
const UP: i64 = -60;

/// The requests of a session, counted.
struct Script {
    client: reqwest::Client,
    url: String,
    actions: usize,
}

impl Script {
    async fn send(&mut self, path: &str, body: &Value) -> Vec<u8> {
        self.actions += 1;
        let answer = self.client.post(format!("{}{path}", self.url)).json(body).send().await.expect("an answer");
        let status = answer.status();
        let bytes = answer.bytes().await.expect("a body").to_vec();
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&bytes));
        bytes
    }

    async fn json(&mut self, path: &str, body: &Value) -> Value {
        serde_json::from_slice(&self.send(path, body).await).expect("JSON")
    }

    async fn patch(&mut self, path: &str, body: &Value) {
        self.actions += 1;
        let answer = self.client.patch(format!("{}{path}", self.url)).json(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap_or_default());
    }
}

async fn composed(client: &reqwest::Client, url: &str, id: Uuid, body: &Value) -> RgbaImage {
    let answer = client.post(format!("{url}/api/jobs/{id}/compose")).json(body).send().await.expect("an answer");
    image::load_from_memory(&answer.bytes().await.expect("a PNG")).expect("a PNG").into_rgba8()
}

fn worst(one: &RgbaImage, other: &RgbaImage) -> u8 {
    let off = |(a, b): (&Rgba<u8>, &Rgba<u8>)| a.0.iter().zip(b.0).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0);
    one.pixels().zip(other.pixels()).map(off).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poster_is_edited_in_a_few_steps() {
    let png = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/images/poster.png")).expect("the poster");
    let poster = image::load_from_memory(&png).expect("a PNG").into_rgba8();
    let service = Service::start().await;
    let url = service.address();
    let client = Client::new(&url);
    let id = client.decompose_into(client.upload(png).await, 6).await;
    client.wait_finished(id).await;
    let http = reqwest::Client::new();
    // Upload and start are two actions.
    let mut script = Script { client: http.clone(), url: url.clone(), actions: 2 };
    let jobs = format!("/api/jobs/{id}");
    let point = |at: (u32, u32)| json!({ "points": [{ "x": at.0, "y": at.1 }], "preview": true });

    // The whale with its belly: what is around it says which pixels are its own.
    let whale = script.json(&format!("{jobs}/pick"), &point(BACK)).await["element"].clone();
    let [x, y, width, height] = WHALE;
    let boxed = json!({ "boxes": [{ "x": x, "y": y, "width": width, "height": height }], "preview": true });
    let mask = script.json(&format!("{jobs}/pick"), &boxed).await["mask"].clone();
    let belly = script.json(&format!("{jobs}/pick"), &point(BELLY)).await["element"].clone();
    assert_ne!(belly, whale, "the belly is not part of the whale yet");
    let document = script.json(&format!("{jobs}/strokes"), &json!({ "to": whale, "from": belly, "mask": mask })).await;
    assert!(worst(&poster, &composed(&http, &url, id, &json!({})).await) <= 1, "the poster changed");
    // The whale alone has its belly, and the picture without it has none.
    let shown = |alone: bool| {
        let mut elements = document["elements"].clone();
        for element in elements.as_array_mut().expect("elements") {
            let is_layer = element.get("layer").is_some() || element.get("picture").is_some();
            if is_layer && (element["id"] == whale) != alone {
                element["edit"]["visible"] = json!(false);
            }
        }
        json!({ "elements": elements })
    };
    let alone = composed(&http, &url, id, &shown(true)).await;
    assert_eq!(alone.get_pixel(BELLY.0, BELLY.1), poster.get_pixel(BELLY.0, BELLY.1));
    let without = composed(&http, &url, id, &shown(false)).await;
    let (behind, beside) = (without.get_pixel(BACK.0, BACK.1).0, poster.get_pixel(120, BACK.1).0);
    assert!(behind.iter().zip(beside).all(|(a, b)| a.abs_diff(b) < 30), "{behind:?} behind the whale");

    // The sun is a layer of its own by now, or becomes one, and moves up.
    let picked = script.json(&format!("{jobs}/pick"), &json!({ "points": [{ "x": SUN.0, "y": SUN.1 }] })).await;
    let mut elements = picked["document"]["elements"].clone();
    let sun = elements.as_array_mut().expect("elements").iter_mut().find(|one| one["id"] == picked["element"]);
    sun.expect("the sun")["edit"]["y"] = json!(UP);
    script.actions += 1;
    let put = http.put(format!("{url}{jobs}/document")).header("if-match", "*").json(&json!({ "elements": elements }));
    assert!(put.send().await.expect("an answer").status().is_success());
    let moved = composed(&http, &url, id, &json!({})).await;
    let (now, before) = (moved.get_pixel(SUN.0, SUN.1.saturating_add_signed(-60)).0, poster.get_pixel(SUN.0, SUN.1).0);
    assert!(now.iter().zip(before).all(|(a, b)| a.abs_diff(b) <= 1), "{now:?} instead of the sun's {before:?}");

    // The title, by the layer that has its words.
    let metadata = client.json(&format!("{jobs}/metadata.json")).await;
    let layers = metadata["layers"].as_array().expect("layers");
    let title = layers.iter().find(|layer| layer["text"].as_str().is_some_and(|words| words.contains("OCEAN")));
    let title = title.expect("the title was read");
    let blocks = title["live_text"]["blocks"].as_array().expect("live text");
    let block = blocks.iter().position(|block| block["text"].to_string().contains("OCEAN")).expect("its block");
    let words = json!({ "text": { block.to_string(): "바다 주간" } });
    script.patch(&format!("{jobs}/layers/{}", title["z_index"]), &words).await;
    script.actions += 1;
    let words = client.json(&format!("{jobs}/text")).await.to_string();
    assert!(words.contains("바다 주간") && !words.contains("OCEAN"), "{words}");

    let psd = script.send(&format!("{jobs}/compose"), &json!({ "format": "psd" })).await;
    assert!(psd.starts_with(b"8BPS") && psd.len() > 100_000);
    assert!(script.actions < 25, "{} actions", script.actions);
}
