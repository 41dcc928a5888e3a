//! teamr tried as a user would, in network namespaces.
