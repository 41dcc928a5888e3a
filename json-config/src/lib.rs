//! teamd's JSON configuration: parsed, checked and dumped back.
#![forbid(unsafe_code)]
