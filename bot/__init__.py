"""The application around the model: configuration, services, storage, rendering and the Discord client."""
