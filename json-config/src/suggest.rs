//! "Did you mean": the known word nearest to a misspelled one.

/// Returns the candidate with the fewest edits from `word`, if these are few for its length; else one
/// that `word` begins with. Ignores case and the difference between `-` and `_`.
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = folded(word)?;
    let allowed = (word.len() / 3).clamp(1, 3);
    let by_edits = candidates
        .iter()
        .filter_map(|candidate| Some((distance(&word, &folded(candidate)?), *candidate)))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate);
    let is_start = |candidate: &&str| folded(candidate).is_some_and(|c| word.starts_with(&c));
    by_edits.or_else(|| candidates.iter().copied().find(is_start))
}

/// Returns the word in lower case with `_`; `None` if too long for a misspelled key.
fn folded(word: &str) -> Option<Vec<char>> {
    let short = word.len() <= 64;
    short.then(|| word.to_lowercase().replace('-', "_").chars().collect())
}

/// Returns the edit distance (optimal string alignment): insertions, deletions, substitutions and
/// transpositions.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let above = &rows[i - 1];
            let substituted = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested() {
        let words = ["prio", "sticky", "queue_id", "lacp_prio"];
        assert_eq!(nearest("proi", &words), Some("prio"));
        assert_eq!(nearest("Queue-ID", &words), Some("queue_id"));
        assert_eq!(nearest("stiky", &words), Some("sticky"));
        assert_eq!(nearest("priority", &words), Some("prio"));
        assert_eq!(nearest("colour", &words), None);
        assert_eq!(nearest(&"x".repeat(1000), &words), None);
        assert_eq!(nearest("", &words), None);
    }
}
