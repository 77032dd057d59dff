export * from 'holdfast/fallback-manager'
