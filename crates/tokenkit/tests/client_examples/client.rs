use std::time::Duration;

const MAX_WAIT_S: u64 = 30;

pub fn get(url: &str, key: &str) -> Result<String, Box<dyn std::error::Error>> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    let mut tries = 3;
    loop {
        tries -= 1;
        let mut answer = agent.get(url).header("api-key", key).call()?;
        let header = |name| answer.headers().get(name)?.to_str().ok();
        let wait_s = header("retry-after").and_then(|text| text.parse().ok());
        let is_problem = header("content-type") == Some("application/problem+json");
        let status = answer.status().as_u16();
        let body = answer.body_mut().read_to_string()?;
        match (status, wait_s) {
            (200..=299, _) => return Ok(body),
            (429, Some(wait_s)) if wait_s <= MAX_WAIT_S && tries > 0 => {
                std::thread::sleep(Duration::from_secs(wait_s));
            }
            _ if !is_problem => return Err(format!("the service answered {status}").into()),
            _ => {
                let problem: serde_json::Value = serde_json::from_str(&body)?;
                let again = wait_s.map_or(String::new(), |wait_s| format!("; again in {wait_s} s"));
                let word = |name: &str| problem[name].as_str().unwrap_or_default();
                return Err(format!("{}: {}{again}", word("reason"), word("detail")).into());
            }
        }
    }
}
