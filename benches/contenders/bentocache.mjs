// BentoCache with its memory driver alone; `serialize` is on by default, so each hit is parsed.
export default {
  id: 'bentocache',
  label: 'BentoCache',
  package: 'bentocache',
  serves: ['memory'],

  async load() {
    const [{ BentoCache, bentostore }, { memoryDriver }] = await Promise.all([
      import('bentocache'),
      import('bentocache/drivers/memory'),
    ]);
    return { BentoCache, bentostore, memoryDriver };
  },

  open({ BentoCache, bentostore, memoryDriver }, { lifetimeSeconds }) {
    const bento = new BentoCache({
      default: 'memory',
      stores: { memory: bentostore().useL1Layer(memoryDriver({})) },
    });
    const ttl = `${lifetimeSeconds}s`;
    return {
      get: (key) => bento.get({ key }),
      set: (key, value) => bento.set({ key, value, ttl }),
      close: () => bento.disconnect(),
    };
  },
};
