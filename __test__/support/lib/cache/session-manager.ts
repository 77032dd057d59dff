export * from 'holdfast/session-manager'
