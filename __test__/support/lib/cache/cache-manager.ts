export * from 'holdfast/cache-manager'
