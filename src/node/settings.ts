/** Owns that every setting of every role is declared where settings are checked, whoever else was imported. */
import "../execution/config.ts";
import "../gateway/config.ts";
import "../keyshard/config.ts";
import "../l1/config.ts";
import "../lane/config.ts";
import "../log/config.ts";
import "../orderer/config.ts";
import "../proposer/config.ts";
import "../publisher/config.ts";
import "../rpc/config.ts";
import "../shadow/config.ts";
import "../snapshot/config.ts";
import "../store/config.ts";
import "../verifier/config.ts";
import "./config.ts";
