// What an app's own `@/lib/cache` is.
module.exports = require('holdfast')
