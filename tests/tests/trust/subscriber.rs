//! Subscribers apply without superuser: nothing of a user's runs there with more than a powerless role's rights.
