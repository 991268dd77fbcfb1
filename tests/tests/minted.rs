//! What is minted is drawn evenly: in each place every base62 digit is about as
//! frequent as every other, and no two places go together, in one text or in one
//! and the next.

#![forbid(unsafe_code)]

use engine::{SecretKey, SessionToken};

const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// As often as a digit is expected in a place.
const EXPECTED: usize = 100;
/// Eight standard deviations of how often it is there: that one of the eleven
/// thousand figures of a run lies beyond does not happen in a billion runs.
const MOST_OFF: usize = 80;

fn is_near(count: usize) -> bool {
    count.abs_diff(EXPECTED) <= MOST_OFF
}

/// What of these texts is not as if each digit were drawn for itself.
fn unevenness(texts: &[Vec<u8>]) -> Option<String> {
    let places = texts[0].len();
    for place in 0..places {
        for digit in DIGITS {
            let count = texts.iter().filter(|text| text[place] == *digit).count();
            if !is_near(count) {
                let digit = char::from(*digit);
                return Some(format!("{digit} is {count} times in place {place}"));
            }
        }
        for other in 0..places {
            for later in 0..=1 {
                if later == 0 && other <= place {
                    continue;
                }
                let pairs = texts.iter().zip(&texts[later..]);
                let count = pairs
                    .filter(|(one, next)| one[place] == next[other])
                    .count();
                if !is_near(count) {
                    return Some(format!(
                        "place {place} and {other} of one {later} later agree {count} times"
                    ));
                }
            }
        }
    }
    None
}

fn texts(mut mint: impl FnMut() -> Vec<u8>) -> Vec<Vec<u8>> {
    let count = EXPECTED * DIGITS.len();
    (0..count).map(|_| mint()).collect()
}

#[test]
fn keys_and_tokens_are_drawn_evenly() {
    let prefix = "tk_live".parse().unwrap();
    // Behind the prefix: the id of 10, the secret of 32, and the check of all.
    let key = || SecretKey::generate(&prefix).unwrap().expose()["tk_live_".len()..].into();
    let cut = |text: Vec<u8>| text[..42].to_vec();
    assert_eq!(unevenness(&texts(|| cut(key()))), None);
    let token = || SessionToken::generate().unwrap().expose().into();
    assert_eq!(unevenness(&texts(token)), None);
}

/// What would be noticed: a source of which a part is filled, and one that comes
/// again.
#[test]
fn what_is_not_random_is_uneven() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut digit = || DIGITS[random.usize(..DIGITS.len())];
    let good = texts(|| (0..42).map(|_| digit()).collect());
    assert_eq!(unevenness(&good), None);
    let ending = |end: fn(&[u8]) -> [u8; 8]| -> Vec<Vec<u8>> {
        let changed = |text: &Vec<u8>| [&text[..34], &end(text)].concat();
        good.iter().map(changed).collect()
    };
    let in_part = ending(|_| [b'0'; 8]);
    let again = ending(|text| *text.first_chunk().unwrap());
    assert!(unevenness(&in_part).is_some());
    assert!(unevenness(&again).is_some());
    // The next begins where the last one ended.
    let stream = good.concat();
    let slow: Vec<_> = stream.windows(42).take(good.len()).map(Vec::from).collect();
    assert!(unevenness(&slow).is_some());
}
