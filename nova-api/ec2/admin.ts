import type { Ec2Action } from './action.js';
import { adminFirewallActions } from './adminFirewall.js';
import { adminHostActions } from './adminHosts.js';
import { adminProjectActions } from './adminProjects.js';
import { adminUserActions } from './adminUsers.js';
import { adminVpnActions } from './adminVpns.js';
import { mergeActions } from './index.js';

/** Every action of the Admin endpoint by its name; all are for administrators only. */
export function adminActions(): ReadonlyMap<string, Ec2Action> {
  return mergeActions([adminFirewallActions, adminHostActions, adminProjectActions, adminUserActions, adminVpnActions]);
}
