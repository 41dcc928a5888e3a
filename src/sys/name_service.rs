//! The libraries that the C library's resolver loads (nsswitch.conf(5)).

use std::ffi::CString;

/// Loads the library of a service of nsswitch.conf, so that the resolver finds the library loaded.
/// Returns whether there is such a library; the services that the C library has built in need none.
pub fn load(service: &str) -> bool {
    let of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if !service.chars().all(of_name) {
        return false;
    }
    let Ok(library) = CString::new(format!("libnss_{service}.so.2")) else {
        return false;
    };
    // SAFETY: the name is a string with its ending zero. The library's constructors run as they do
    // when the resolver loads the library; the handle is never closed.
    !unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) }.is_null()
}
