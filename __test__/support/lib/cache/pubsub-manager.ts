export * from 'holdfast/pubsub-manager'
