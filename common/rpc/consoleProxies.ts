/** Whoever shows a console through a browser learns the token which opens it. */
interface ConsoleGrant {
  token: string;
  host: string;
  port: number | string;
}

/** Topic `vncproxy`. Source: nova 2011.3, bin/nova-vncproxy. */
export interface VncProxyRpc {
  authorize_vnc_console(args: ConsoleGrant): Promise<null>;
}

/** Topic `ajax_proxy`. Source: nova 2011.3, bin/nova-ajax-console-proxy. */
export interface AjaxProxyRpc {
  authorize_ajax_console(args: ConsoleGrant): Promise<null>;
}
