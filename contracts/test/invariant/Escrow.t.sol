// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {L1CrossDomainMessenger} from "../../src/l1/L1CrossDomainMessenger.sol";
import {L1StandardBridge} from "../../src/l1/L1StandardBridge.sol";
import {SheafOutputOracle} from "../../src/l1/SheafOutputOracle.sol";
import {SheafPortal} from "../../src/l1/SheafPortal.sol";
import {Hashing} from "../../src/universal/Hashing.sol";
import {Predeploys} from "../../src/universal/Predeploys.sol";
import {Types} from "../../src/universal/Types.sol";
import {DeployedCluster, OneLeafTrie, SheafTest} from "../SheafTest.sol";
import {Vm} from "../Vm.sol";

contract EscrowToken is ERC20("Escrow", "ESC") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice Receives ETH and, on each receipt, tries to take more: finalizes, proves, relays and deposits again.
contract Attacker {
    SheafPortal private immutable PORTAL;
    L1CrossDomainMessenger private immutable MESSENGER;
    bytes[] private _portalCalls;
    bytes[] private _messengerCalls;
    uint256 public attempts;

    constructor(SheafPortal portal, L1CrossDomainMessenger messenger) {
        PORTAL = portal;
        MESSENGER = messenger;
    }

    function aim(bytes calldata portalCall, bytes calldata messengerCall) external {
        delete _portalCalls;
        delete _messengerCalls;
        if (portalCall.length > 0) _portalCalls.push(portalCall);
        if (messengerCall.length > 0) _messengerCalls.push(messengerCall);
    }

    receive() external payable {
        _attack();
    }

    fallback() external payable {
        _attack();
    }

    function _attack() private {
        for (uint256 i = 0; i < _portalCalls.length; ++i) {
            ++attempts;
            (bool ok,) = address(PORTAL).call(_portalCalls[i]);
            require(!ok, "a withdrawal was executed inside another");
        }
        for (uint256 i = 0; i < _messengerCalls.length; ++i) {
            ++attempts;
            (bool ok,) = address(MESSENGER).call(_messengerCalls[i]);
            ok;
        }
    }
}

/// @notice Many actors on portal, messenger and bridge, with a ledger of what L2 owes and owns. L2 is a model here: it
///         holds what deposits minted, and only lets out what it holds. What the ledger says of L1 must be what L1 holds.
contract EscrowHandler is SheafTest {
    SheafPortal private immutable PORTAL;
    SheafOutputOracle private immutable ORACLE;
    L1CrossDomainMessenger private immutable MESSENGER;
    L1StandardBridge private immutable BRIDGE;
    EscrowToken private immutable TOKEN;
    Attacker private immutable ATTACKER;
    address private immutable PROPOSER;
    address private immutable CHALLENGER;
    uint256 private immutable PERIOD;
    address private constant L2_TOKEN = address(0x70C0);
    address private immutable REFUSER;

    enum State {
        Initiated,
        Proven,
        Finalized
    }

    struct Flight {
        Types.WithdrawalTransaction w;
        State state;
        uint256 outputIndex;
        Types.OutputRootProof rootProof;
        bytes[] proof;
        /// Message inside, if the withdrawal goes through the messenger.
        bytes32 messageHash;
        uint256 messageValue;
        uint256 tokens;
    }

    address[4] private _actors;
    Flight[] private _flights;
    uint240 private _nonce;

    uint256 public deposited;
    uint256 public donated;
    uint256 public paidOut;
    uint256 public l2Supply;
    uint256 public inFlight;
    uint256 public tokensDeposited;
    uint256 public tokensReleased;
    uint256 public l2Tokens;
    uint256 public replays;
    uint256 public finalized;
    uint256 public failedValue;
    uint256 public stuckValue;

    constructor(
        SheafPortal portal,
        SheafOutputOracle oracle,
        L1CrossDomainMessenger messenger,
        L1StandardBridge bridge,
        address proposer,
        address challenger
    ) {
        PORTAL = portal;
        ORACLE = oracle;
        MESSENGER = messenger;
        BRIDGE = bridge;
        PROPOSER = proposer;
        CHALLENGER = challenger;
        PERIOD = oracle.finalizationPeriodSeconds();
        TOKEN = new EscrowToken();
        ATTACKER = new Attacker(portal, messenger);
        REFUSER = address(TOKEN); // has no way to receive ETH
        for (uint256 i = 0; i < 4; ++i) {
            _actors[i] = address(uint160(0xac7000 + i));
            vm.deal(_actors[i], 1e38);
            TOKEN.mint(_actors[i], 1e38);
            vm.prank(_actors[i]);
            TOKEN.approve(address(bridge), type(uint256).max);
        }
    }

    function token() external view returns (address, address) {
        return (address(TOKEN), L2_TOKEN);
    }

    // --- into L2 ----------------------------------------------------------------------------------------------------

    modifier inNewBlock() {
        vm.roll(block.number + 1);
        vm.warp(block.timestamp + 12);
        _;
    }

    function depositThroughPortal(uint256 who, uint96 mint, uint96 value) external inNewBlock {
        vm.prank(_actors[who % 4], _actors[who % 4]);
        PORTAL.depositTransaction{value: mint}(_actors[(who >> 8) % 4], value, 100_000, false, "");
        // A transaction that wants more than its sender has fails on L2, but the ETH is minted all the same.
        _credit(mint);
    }

    function depositBySending(uint256 who, uint96 amount, uint8 door) external inNewBlock {
        vm.prank(_actors[who % 4], _actors[who % 4]);
        (bool ok,) = (door % 2 == 0 ? address(PORTAL) : address(BRIDGE)).call{value: amount}("");
        vm.assertTrue(ok);
        _credit(amount);
    }

    function depositThroughMessenger(uint256 who, uint96 amount) external inNewBlock {
        vm.prank(_actors[who % 4], _actors[who % 4]);
        MESSENGER.sendMessage{value: amount}(_actors[(who >> 8) % 4], "hello", 100_000);
        _credit(amount);
    }

    function depositThroughBridge(uint256 who, uint96 amount) external inNewBlock {
        vm.prank(_actors[who % 4], _actors[who % 4]);
        BRIDGE.depositETHTo{value: amount}(_actors[(who >> 8) % 4], 100_000, "");
        _credit(amount);
    }

    function depositTokens(uint256 who, uint96 amount) external inNewBlock {
        vm.prank(_actors[who % 4], _actors[who % 4]);
        BRIDGE.depositERC20To(address(TOKEN), L2_TOKEN, _actors[(who >> 8) % 4], amount, 100_000, "");
        tokensDeposited += amount;
        l2Tokens += amount;
    }

    function donate(uint256 who, uint96 amount) external {
        vm.prank(_actors[who % 4]);
        PORTAL.donateETH{value: amount}();
        donated += amount;
    }

    function _credit(uint256 amount) private {
        deposited += amount;
        l2Supply += amount;
    }

    // --- out of L2 --------------------------------------------------------------------------------------------------

    function withdraw(uint256 who, uint256 amount, uint8 route) external {
        amount = bound(amount, 0, l2Supply);
        address to = _recipient(who);
        Flight storage f = _flights.push();
        f.w.nonce = Hashing.versionedNonce(_nonce++, 1);
        f.w.sender = _actors[who % 4];
        f.w.target = to;
        f.w.value = amount;
        f.w.gasLimit = 400_000;
        if (route % 3 != 0) {
            // Through the messenger, or as the bridge does through it.
            bool bridged = route % 3 == 2;
            bytes memory message = bridged
                ? abi.encodeCall(BRIDGE.finalizeBridgeETH, (_actors[who % 4], to, amount, ""))
                : bytes("");
            address sender = bridged ? Predeploys.L2_STANDARD_BRIDGE : _actors[who % 4];
            _wrap(f, sender, bridged ? address(BRIDGE) : to, amount, message);
        }
        l2Supply -= amount;
        inFlight += amount;
    }

    function withdrawTokens(uint256 who, uint256 amount) external {
        amount = bound(amount, 0, l2Tokens);
        Flight storage f = _flights.push();
        f.w.nonce = Hashing.versionedNonce(_nonce++, 1);
        f.tokens = amount;
        _wrap(
            f,
            Predeploys.L2_STANDARD_BRIDGE,
            address(BRIDGE),
            0,
            abi.encodeCall(
                BRIDGE.finalizeBridgeERC20,
                (address(TOKEN), L2_TOKEN, _actors[who % 4], _actors[(who >> 8) % 4], amount, "")
            )
        );
        l2Tokens -= amount;
    }

    function _wrap(Flight storage f, address sender, address to, uint256 value, bytes memory message) private {
        uint256 nonce = f.w.nonce;
        f.messageHash = Hashing.hashMessage(nonce, sender, to, value, 200_000, message);
        f.messageValue = value;
        f.w.sender = Predeploys.L2_CROSS_DOMAIN_MESSENGER;
        f.w.target = address(MESSENGER);
        f.w.value = value;
        f.w.gasLimit = 700_000;
        f.w.data = abi.encodeCall(MESSENGER.relayMessage, (nonce, sender, to, value, 200_000, message));
    }

    function _recipient(uint256 who) private view returns (address) {
        uint256 kind = (who >> 16) % 8;
        if (kind == 0) return address(ATTACKER);
        if (kind == 1) return REFUSER;
        return _actors[(who >> 8) % 4];
    }

    function prove(uint256 which) public {
        if (_flights.length == 0) return;
        Flight storage f = _flights[which % _flights.length];
        if (f.state == State.Initiated) {
            bytes[] memory proof;
            (f.rootProof.messagePasserStorageRoot, proof) = OneLeafTrie.prove(Hashing.hashWithdrawal(f.w));
            f.rootProof.stateRoot = bytes32(which);
            delete f.proof;
            f.proof.push(proof[0]);
            f.outputIndex = ORACLE.nextOutputIndex();
            uint256 next = ORACLE.nextBlockNumber();
            vm.prank(PROPOSER);
            ORACLE.proposeL2Output(Hashing.hashOutputRoot(f.rootProof), next, bytes32(0), 0);
            PORTAL.proveWithdrawalTransaction(f.w, f.outputIndex, f.rootProof, f.proof);
            f.state = State.Proven;
        } else {
            (bool ok,) = address(PORTAL).call(
                abi.encodeCall(PORTAL.proveWithdrawalTransaction, (f.w, f.outputIndex, f.rootProof, f.proof))
            );
            vm.assertFalse(ok, "nothing is proven twice");
        }
    }

    /// @dev Takes back young outputs; what was proven against them is proven anew against a later one.
    function challenge(uint256 seed) external {
        if (seed % 4 != 0) return;
        uint256 length = ORACLE.nextOutputIndex();
        uint256 index = length;
        while (index > 0 && block.timestamp < ORACLE.getL2Output(index - 1).timestamp + PERIOD) --index;
        if (index == length) return;
        vm.prank(CHALLENGER);
        ORACLE.deleteL2Outputs(index);
        for (uint256 i = 0; i < _flights.length; ++i) {
            if (_flights[i].state == State.Proven && _flights[i].outputIndex >= index) {
                _flights[i].state = State.Initiated;
                (bool ok,) = address(PORTAL).call(
                    abi.encodeCall(PORTAL.finalizeWithdrawalTransaction, (_flights[i].w))
                );
                vm.assertFalse(ok, "nothing finalizes on a deleted output");
            }
        }
    }

    function finalize(uint256 which, bool early) external {
        if (_flights.length == 0) return;
        Flight storage f = _flights[which % _flights.length];
        if (f.state == State.Initiated && !early) prove(which);
        bytes memory call = abi.encodeCall(PORTAL.finalizeWithdrawalTransaction, (f.w));
        if (f.state != State.Proven || early) {
            bool mayPass = f.state == State.Proven && _isMature(f);
            if (!mayPass) {
                (bool passed,) = address(PORTAL).call(call);
                vm.assertFalse(passed, "only proven withdrawals of the right age finalize, once");
                return;
            }
        }
        // The attacker tries this withdrawal, another one, and the message inside.
        Flight storage other = _flights[(which >> 128) % _flights.length];
        ATTACKER.aim(
            which % 2 == 0 ? call : abi.encodeCall(PORTAL.finalizeWithdrawalTransaction, (other.w)),
            f.messageHash == 0 ? other.w.data : f.w.data
        );
        if (!_isMature(f)) vm.warp(block.timestamp + PERIOD + 1);
        uint256 before = address(PORTAL).balance;
        vm.recordLogs();
        PORTAL.finalizeWithdrawalTransaction(f.w);
        bool success = _finalizedWithSuccess();
        f.state = State.Finalized;
        ++finalized;
        inFlight -= f.w.value;
        uint256 out = success ? f.w.value : 0;
        vm.assertEq(before - address(PORTAL).balance, out, "exactly the withdrawal leaves");
        paidOut += out;
        stuckValue += f.w.value - out;
        if (f.messageHash != 0) _account(f);
        ATTACKER.aim("", "");
    }

    /// @dev Anyone may try to relay any message again, any time.
    function replay(uint256 which) external {
        if (_flights.length == 0) return;
        Flight storage f = _flights[which % _flights.length];
        if (f.messageHash == 0) return;
        bool wasFailed = MESSENGER.failedMessages(f.messageHash);
        bool wasDone = MESSENGER.successfulMessages(f.messageHash);
        (bool ok,) = address(MESSENGER).call(f.w.data);
        vm.assertTrue(ok == (wasFailed && !wasDone), "only failed messages are tried again");
        if (!ok) return;
        ++replays;
        if (MESSENGER.successfulMessages(f.messageHash)) {
            failedValue -= f.messageValue;
            if (f.tokens > 0) tokensReleased += f.tokens;
        }
    }

    function _account(Flight storage f) private {
        if (MESSENGER.successfulMessages(f.messageHash)) tokensReleased += f.tokens;
        else if (MESSENGER.failedMessages(f.messageHash)) failedValue += f.messageValue;
    }

    function _isMature(Flight storage f) private view returns (bool) {
        (, uint128 provenAt,) = PORTAL.provenWithdrawals(Hashing.hashWithdrawal(f.w));
        return block.timestamp > provenAt + PERIOD;
    }

    function _finalizedWithSuccess() private returns (bool) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter == address(PORTAL) && logs[i].topics[0] == SheafPortal.WithdrawalFinalized.selector) {
                return abi.decode(logs[i].data, (bool));
            }
        }
        revert("the finalization says its outcome");
    }

    // --- attempts that must fail --------------------------------------------------------------------------------------

    function proveWithZeroRoot(uint256 which, uint256 index) external {
        if (_flights.length == 0) return;
        Flight storage f = _flights[which % _flights.length];
        Types.OutputRootProof memory zero;
        index = bound(index, 0, ORACLE.nextOutputIndex() + 1);
        (bool ok,) = address(PORTAL).call(
            abi.encodeCall(PORTAL.proveWithdrawalTransaction, (f.w, index, zero, new bytes[](0)))
        );
        vm.assertFalse(ok, "a zero root proves nothing");
    }

    function proveForgery(uint256 which, uint96 more) external {
        if (_flights.length == 0) return;
        Flight storage f = _flights[which % _flights.length];
        if (f.proof.length == 0 || more == 0) return;
        Types.WithdrawalTransaction memory forged = f.w;
        forged.value += more;
        (bool ok,) = address(PORTAL).call(
            abi.encodeCall(PORTAL.proveWithdrawalTransaction, (forged, f.outputIndex, f.rootProof, f.proof))
        );
        vm.assertFalse(ok, "a forged withdrawal is not proven");
        (ok,) = address(PORTAL).call(abi.encodeCall(PORTAL.finalizeWithdrawalTransaction, (forged)));
        vm.assertFalse(ok, "nor finalized");
    }

    function stealFromBridge(uint256 who, uint96 amount) external {
        vm.prank(_actors[who % 4]);
        (bool ok,) = address(BRIDGE).call(
            abi.encodeCall(
                BRIDGE.finalizeBridgeERC20, (address(TOKEN), L2_TOKEN, address(1), _actors[who % 4], amount, "")
            )
        );
        vm.assertFalse(ok, "only the other bridge finalizes");
    }
}

contract EscrowInvariantTest is DeployedCluster {
    EscrowHandler private handler;

    function setUp() public {
        startCluster();
        vm.fee(1_000 gwei); // deposits burn little gas
        handler = new EscrowHandler(portal, oracle, messenger, bridge, proposer, challenger);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev Invariant D: the escrow is what was deposited minus what withdrawals took out, and that covers what L2 holds,
    ///      what is in flight, and what a failed target left behind.
    /// forge-config: default.invariant.runs = 48
    /// forge-config: default.invariant.depth = 128
    function invariant_escrowCoversTheCluster() external view {
        vm.assertEq(
            address(portal).balance, handler.deposited() + handler.donated() - handler.paidOut(), "escrow by flows"
        );
        vm.assertEq(
            address(portal).balance,
            handler.l2Supply() + handler.inFlight() + handler.stuckValue() + handler.donated(),
            "escrow by claims"
        );
        vm.assertEq(address(messenger).balance, handler.failedValue(), "failed messages keep their ETH");
        vm.assertEq(address(bridge).balance, 0, "the bridge holds no ETH");
        (address token, address l2Token) = handler.token();
        uint256 locked = handler.tokensDeposited() - handler.tokensReleased();
        vm.assertEq(bridge.deposits(token, l2Token), locked, "tokens by pair");
        vm.assertEq(ERC20(token).balanceOf(address(bridge)), locked, "tokens held");
    }
}
