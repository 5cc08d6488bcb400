import type { SimulatedCloud } from '../cloud.js';
import type { SimulatedDaemon } from '../daemon.js';
import type { Fault } from '../plan.js';

/** Breaks things when their time has come, and puts everything right again in the end. */
export class Injector {
  #healed = false;

  constructor(private readonly cloud: SimulatedCloud) {}

  /** Lets the faults happen, each at its time from now. */
  schedule(faults: readonly Fault[]): void {
    for (const fault of faults) this.cloud.world.after(fault.at, () => this.#strike(fault));
  }

  /** Nothing breaks any more; who is dead starts again, unless the host is lost. What has begun may still take its time. */
  heal(): void {
    this.#healed = true;
    const { cloud } = this;
    cloud.log.note('FAULT no more of them');
    cloud.database.away = false;
    cloud.broker.calm();
    for (const host of cloud.hosts.values()) host.clockError = 0;
    for (const daemon of cloud.daemons.values()) {
      daemon.calm();
      void daemon.start();
    }
  }

  #strike(fault: Fault): void {
    if (this.#healed) return;
    const { cloud } = this;
    const daemon = 'daemon' in fault ? cloud.daemons.get(fault.daemon) : undefined;
    const life = daemon?.life;
    if ('daemon' in fault && life === undefined) return;
    cloud.log.note(`FAULT ${JSON.stringify(fault)}`);
    switch (fault.kind) {
      case 'crash':
        life!.runtime.dieAt(fault.after, fault.when, () => this.#startLater(daemon!, fault.downMs));
        break;
      case 'stop':
        void daemon!.stop().then(() => this.#startLater(daemon!, fault.downMs));
        break;
      case 'pause':
        life!.runtime.pause(fault.ms);
        break;
      case 'power':
        this.#killHost(fault.host, (one) => this.#startLater(one, fault.downMs));
        break;
      case 'lost host':
        cloud.hosts.get(fault.host)!.lost = true;
        this.#killHost(fault.host, () => undefined);
        break;
      case 'database':
        life!.dialect.trouble(fault.after, fault.how, fault.times, fault.commits);
        break;
      case 'database away':
        cloud.database.away = true;
        cloud.world.after(fault.ms, () => (cloud.database.away = false));
        break;
      case 'disconnect':
        life!.transport.disconnect(fault.ms);
        break;
      case 'unconfirmed':
        life!.transport.loseConfirmation(fault.delivered, fault.ms);
        break;
      case 'broker restart':
        cloud.broker.restart(fault.ms);
        break;
      case 'slow bus':
        cloud.broker.slowness = fault.most;
        cloud.world.after(fault.ms, () => cloud.broker.calm());
        break;
      case 'driver':
        daemon!.troubles.arm(fault.method, fault.how, fault.times, fault.ms);
        break;
      case 'clock':
        cloud.hosts.get(fault.host)!.clockError = fault.byMs;
        break;
    }
  }

  #killHost(host: string, then: (daemon: SimulatedDaemon) => void): void {
    for (const daemon of this.cloud.daemons.values()) {
      if (daemon.host.name !== host) continue;
      daemon.kill();
      then(daemon);
    }
  }

  #startLater(daemon: SimulatedDaemon, downMs: number): void {
    this.cloud.world.after(this.#healed ? 0 : downMs, () => {
      this.cloud.log.note(`FAULT ${daemon.name} starts again`);
      void daemon.start();
    });
  }
}
