use super::*;

fn content(rows: &[(&str, f64)]) -> Content {
    let mut figures = Figures::default();
    for (name, value) in rows {
        figures.add(*name, *value, "ns");
    }
    let remarks = "\
        tried = [\"Smaller shards.\"]\n\
        [goals]\nallowed_10k = \"The clock.\"\n\
        [left]\nhash = \"Seven rounds.\"\n";
    let mut before = Figures::default();
    before.add("profile/allowed/hash", 621.0, "instructions");
    before.add("instructions/allowed", 1597.2, "instructions");
    Content {
        figures,
        end_to_end: Figures::default(),
        origin: Figures::default(),
        before,
        remarks: toml::from_str(remarks).unwrap(),
    }
}

#[test]
fn goals_are_judged_and_explained() {
    let missed = content(&[("decide/10000/uniform/allowed/hash/ratio", 2.0)]).rendered();
    let line = "| `decide`, allowed, 10,000 keys, uniform | at most 1.35 × the bare hash \
                | 2.00 × the bare hash | **missed by 48 %** |";
    assert!(missed.contains(line), "{missed}");
    assert!(missed.contains("The clock."), "{missed}");
    let met = content(&[("decide/10000/uniform/allowed/hash/ratio", 1.2)]).rendered();
    assert!(met.contains("| 1.20 × the bare hash | met |"), "{met}");
    assert!(!met.contains("The clock."), "{met}");
}

#[test]
fn rows_stand_beside_their_peers() {
    let mut content = content(&[
        ("decide/10000/uniform/allowed/engine", 110.0),
        ("decide/10000/uniform/allowed/hash", 100.0),
        ("decide/10000/uniform/allowed/hash/ratio", 1.1),
        ("profile/allowed/hash", 480.0),
    ]);
    content.figures.figures.push(crate::figures::Figure {
        name: "decide/10000/uniform/allowed/peer".into(),
        value: 220.0,
        unit: "ns".into(),
        what: "papaya + DashMap".into(),
    });
    let text = content.rendered();
    let line = "| 10,000 | allowed | 110 | - | 100 (1.10 ×) | 220 | - | - | papaya + DashMap |";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("| 621 → 480 |"), "{text}");
    assert!(text.contains("| **all** | 1597 → ? |"), "{text}");
    assert!(text.contains("Seven rounds."), "{text}");
    assert!(text.contains("- Smaller shards."), "{text}");
}

#[test]
fn what_was_not_measured_is_said() {
    let text = content(&[]).rendered();
    assert!(text.contains("Not measured."), "{text}");
    assert!(!text.contains("NaN"), "{text}");
}

#[test]
fn thousands_stand_apart() {
    let told = [1, 1000, 10_000, 10_000_000].map(grouped);
    assert_eq!(told, ["1", "1,000", "10,000", "10,000,000"]);
}

#[test]
fn remarks_name_goals_and_parts_that_there_are() {
    let text = fs::read_to_string(root().join(REMARKS)).unwrap();
    let remarks: Remarks = toml::from_str(&text).unwrap();
    let all = || goals::ENGINE.iter().chain(&goals::END_TO_END);
    for id in remarks.goals.keys() {
        assert!(all().any(|goal| goal.id == id), "no goal {id}");
    }
    for name in remarks.left.keys() {
        assert!(
            Part::ALL.iter().any(|part| part.name() == name),
            "no part {name}"
        );
    }
}
