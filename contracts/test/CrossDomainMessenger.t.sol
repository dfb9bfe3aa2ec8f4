// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {L1CrossDomainMessenger} from "../src/l1/L1CrossDomainMessenger.sol";
import {L2CrossDomainMessenger} from "../src/l2/L2CrossDomainMessenger.sol";
import {L2ToL1MessagePasser} from "../src/l2/L2ToL1MessagePasser.sol";
import {AddressAlias} from "../src/universal/AddressAlias.sol";
import {CrossDomainMessenger} from "../src/universal/CrossDomainMessenger.sol";
import {Hashing} from "../src/universal/Hashing.sol";
import {Predeploys} from "../src/universal/Predeploys.sol";
import {Types} from "../src/universal/Types.sol";
import {DeployedCluster} from "./SheafTest.sol";
import {Vm} from "./Vm.sol";

/// @notice Takes messages; fails while told to; calls back into the messenger when told to.
contract Target {
    CrossDomainMessenger private immutable MESSENGER;
    bool public failing;
    address public senderSeen;
    uint256 public valueSeen;
    uint256 public gasSeen;
    uint256 public calls;
    bytes private _back;
    bool public backSucceeded;

    constructor(CrossDomainMessenger messenger) {
        MESSENGER = messenger;
    }

    function setFailing(bool failing_) external {
        failing = failing_;
    }

    function arm(bytes calldata back) external {
        _back = back;
    }

    function take(uint256) external payable {
        gasSeen = gasleft();
        if (failing) revert("failing");
        senderSeen = MESSENGER.xDomainMessageSender();
        valueSeen = msg.value;
        ++calls;
        if (_back.length > 0) (backSucceeded,) = address(MESSENGER).call(_back);
    }

    receive() external payable {}
}

contract CrossDomainMessengerTest is DeployedCluster {
    address private alice = named("alice");
    Target private target;

    function setUp() public {
        startCluster();
        target = new Target(messenger);
        vm.deal(alice, 1_000 ether);
        vm.deal(address(portal), 1_000 ether);
    }

    /// @dev Brings a message of the L2 messenger to L1 the whole way: output, proof, period, finalization.
    function relay(uint256 nonce, address sender, address to, uint256 value, uint32 minGas, bytes memory message)
        private
        returns (bytes32 messageHash)
    {
        nonce = Hashing.versionedNonce(uint240(nonce), 1);
        messageHash = Hashing.hashMessage(nonce, sender, to, value, minGas, message);
        Types.WithdrawalTransaction memory w = Types.WithdrawalTransaction({
            nonce: nonce,
            sender: Predeploys.L2_CROSS_DOMAIN_MESSENGER,
            target: address(messenger),
            value: value,
            gasLimit: messenger.baseGas(message, minGas),
            data: abi.encodeCall(messenger.relayMessage, (nonce, sender, to, value, minGas, message))
        });
        mature(w);
        portal.finalizeWithdrawalTransaction(w);
    }

    function takes() private pure returns (bytes memory) {
        return abi.encodeCall(Target.take, (1));
    }

    function test_sendingDepositsARelayOnTheOtherSide() public {
        bytes memory message = hex"c0ffee";
        bytes memory data = abi.encodeCall(
            messenger.relayMessage,
            (Hashing.versionedNonce(0, 1), alice, address(5), 2 ether, 100_000, message)
        );
        vm.expectEmit(true, true, true, true, address(messenger));
        emit CrossDomainMessenger.SentMessage(address(5), alice, message, Hashing.versionedNonce(0, 1), 100_000);
        vm.expectEmit(true, true, true, true, address(messenger));
        emit CrossDomainMessenger.SentMessageExtension1(alice, 2 ether);
        vm.expectEmit(true, true, true, true, address(portal));
        emit PortalEvents.TransactionDeposited(
            AddressAlias.toL2(address(messenger)),
            Predeploys.L2_CROSS_DOMAIN_MESSENGER,
            0,
            abi.encodePacked(uint256(2 ether), uint256(2 ether), messenger.baseGas(message, 100_000), uint8(0), data)
        );
        vm.prank(alice);
        messenger.sendMessage{value: 2 ether}(address(5), message, 100_000);
        vm.assertEq(messenger.messageNonce(), Hashing.versionedNonce(1, 1));
        vm.assertEq(address(portal).balance, 1_002 ether);
    }

    function test_relayedMessageRunsOnceWithItsSender() public {
        bytes32 h = relay(0, alice, address(target), 3 ether, 100_000, takes());
        vm.assertTrue(messenger.successfulMessages(h));
        vm.assertFalse(messenger.failedMessages(h));
        vm.assertEq(target.senderSeen(), alice);
        vm.assertEq(target.valueSeen(), 3 ether);
        vm.assertGe(target.gasSeen() + 1_000, 100_000);

        vm.expectRevert(abi.encodeWithSelector(CrossDomainMessenger.NotFromOtherMessenger.selector, address(this)));
        messenger.relayMessage(Hashing.versionedNonce(0, 1), alice, address(target), 3 ether, 100_000, takes());
        vm.expectRevert(abi.encodeWithSelector(CrossDomainMessenger.NoMessageSender.selector));
        messenger.xDomainMessageSender();
    }

    function test_failedMessageWaitsAndIsReplayedOnce() public {
        target.setFailing(true);
        bytes32 h = relay(0, alice, address(target), 3 ether, 100_000, takes());
        vm.assertTrue(messenger.failedMessages(h));
        vm.assertEq(address(messenger).balance, 3 ether);

        uint256 nonce = Hashing.versionedNonce(0, 1);
        messenger.relayMessage(nonce, alice, address(target), 3 ether, 100_000, takes());
        vm.assertFalse(messenger.successfulMessages(h));
        vm.assertEq(address(messenger).balance, 3 ether);

        target.setFailing(false);
        vm.expectRevert(abi.encodeWithSelector(CrossDomainMessenger.WrongValue.selector, 1, 0));
        messenger.relayMessage{value: 1}(nonce, alice, address(target), 3 ether, 100_000, takes());
        messenger.relayMessage(nonce, alice, address(target), 3 ether, 100_000, takes());
        vm.assertTrue(messenger.successfulMessages(h));
        vm.assertEq(address(target).balance, 3 ether);
        vm.assertEq(address(messenger).balance, 0);
        vm.expectRevert(abi.encodeWithSelector(CrossDomainMessenger.AlreadyRelayed.selector, h));
        messenger.relayMessage(nonce, alice, address(target), 3 ether, 100_000, takes());
        vm.assertEq(target.calls(), 1);
    }

    function test_replayMustBeToTheLetter() public {
        target.setFailing(true);
        relay(0, alice, address(target), 3 ether, 100_000, takes());
        target.setFailing(false);
        uint256 nonce = Hashing.versionedNonce(0, 1);
        vm.expectPartialRevert(CrossDomainMessenger.NotFromOtherMessenger.selector);
        messenger.relayMessage(nonce, alice, address(target), 2 ether, 100_000, takes());
        vm.expectPartialRevert(CrossDomainMessenger.NotFromOtherMessenger.selector);
        messenger.relayMessage(nonce, address(this), address(target), 3 ether, 100_000, takes());
        vm.expectRevert(abi.encodeWithSelector(CrossDomainMessenger.UnsupportedVersion.selector, uint16(2)));
        messenger.relayMessage(Hashing.versionedNonce(0, 2), alice, address(target), 3 ether, 100_000, takes());
    }

    function test_messageInsideAMessageIsOnlyRecorded() public {
        // A failed message is replayed from inside another one: neither sender may pass for the other.
        target.setFailing(true);
        bytes32 inner = relay(0, alice, address(target), 1 ether, 100_000, takes());
        target.setFailing(false);
        target.arm(
            abi.encodeCall(
                messenger.relayMessage, (Hashing.versionedNonce(0, 1), alice, address(target), 1 ether, 100_000, takes())
            )
        );
        bytes32 outer = relay(1, named("bob"), address(target), 2 ether, 1_000_000, takes());
        vm.assertTrue(target.backSucceeded());
        vm.assertTrue(messenger.successfulMessages(outer));
        vm.assertFalse(messenger.successfulMessages(inner));
        vm.assertEq(target.calls(), 1);
        vm.assertEq(target.senderSeen(), named("bob"));

        // The same message again, inside itself.
        target.arm(
            abi.encodeCall(
                messenger.relayMessage,
                (Hashing.versionedNonce(0, 1), alice, address(target), 1 ether, 100_000, takes())
            )
        );
        messenger.relayMessage(Hashing.versionedNonce(0, 1), alice, address(target), 1 ether, 100_000, takes());
        vm.assertTrue(messenger.successfulMessages(inner));
        vm.assertEq(target.calls(), 2);
        vm.assertEq(address(target).balance, 3 ether);
    }

    function test_unsafeTargetsAreRefused() public {
        Types.WithdrawalTransaction memory w = Types.WithdrawalTransaction({
            nonce: Hashing.versionedNonce(0, 1),
            sender: Predeploys.L2_CROSS_DOMAIN_MESSENGER,
            target: address(messenger),
            value: 0,
            gasLimit: 1_000_000,
            data: abi.encodeCall(
                messenger.relayMessage,
                (Hashing.versionedNonce(0, 1), alice, address(portal), 0, 100_000, abi.encodeCall(portal.donateETH, ()))
            )
        });
        mature(w);
        vm.expectEmit(true, true, true, true, address(portal));
        emit PortalEvents.WithdrawalFinalized(Hashing.hashWithdrawal(w), false);
        portal.finalizeWithdrawalTransaction(w);
    }

    function test_withdrawalOfAnotherSenderIsNoMessage() public {
        Types.WithdrawalTransaction memory w = Types.WithdrawalTransaction({
            nonce: Hashing.versionedNonce(0, 1),
            sender: alice,
            target: address(messenger),
            value: 0,
            gasLimit: 1_000_000,
            data: abi.encodeCall(
                messenger.relayMessage,
                (Hashing.versionedNonce(0, 1), Predeploys.L2_STANDARD_BRIDGE, address(target), 0, 100_000, takes())
            )
        });
        mature(w);
        portal.finalizeWithdrawalTransaction(w);
        vm.assertEq(target.calls(), 0);
    }

    function test_pausedMessengerRelaysNothing() public {
        target.setFailing(true);
        relay(0, alice, address(target), 0, 100_000, takes());
        vm.prank(guardian);
        portal.pause();
        vm.expectRevert(abi.encodeWithSelector(CrossDomainMessenger.MessengerPaused.selector));
        messenger.relayMessage(Hashing.versionedNonce(0, 1), alice, address(target), 0, 100_000, takes());
    }

    /// @dev Whatever gas the finalizer gives: the message runs with its minimum, or is recorded, or nothing happens.
    function testFuzz_noGasLosesAMessage(uint32 minGas, uint256 given, uint16 size) public {
        minGas = uint32(bound(minGas, 100_000, 2_000_000));
        given = bound(given, 100_000, 6_000_000);
        bytes memory message = abi.encodePacked(takes(), new bytes(bound(size, 0, 10_000)));
        uint256 nonce = Hashing.versionedNonce(0, 1);
        Types.WithdrawalTransaction memory w = Types.WithdrawalTransaction({
            nonce: nonce,
            sender: Predeploys.L2_CROSS_DOMAIN_MESSENGER,
            target: address(messenger),
            value: 1 ether,
            gasLimit: messenger.baseGas(message, minGas),
            data: abi.encodeCall(messenger.relayMessage, (nonce, alice, address(target), 1 ether, minGas, message))
        });
        mature(w);
        (bool ok,) =
            address(portal).call{gas: given}(abi.encodeCall(portal.finalizeWithdrawalTransaction, (w)));
        bytes32 h = Hashing.hashMessage(nonce, alice, address(target), 1 ether, minGas, message);
        vm.assertTrue(ok == portal.finalizedWithdrawals(Hashing.hashWithdrawal(w)));
        vm.assertTrue(ok == (messenger.successfulMessages(h) || messenger.failedMessages(h)), "never lost");
        if (messenger.successfulMessages(h)) vm.assertGe(target.gasSeen() + 1_000, minGas);
    }

    /// @dev Anyone may replay with any gas, so the minimum must hold there too: else a target that copes with running out
    ///      of gas would count as served with too little.
    function testFuzz_replaysGiveTheMinimumOrDoNotCall(uint32 minGas, uint256 given) public {
        minGas = uint32(bound(minGas, 150_000, 2_000_000));
        given = bound(given, 150_000, 3_000_000);
        target.setFailing(true);
        bytes32 h = relay(0, alice, address(target), 1 ether, minGas, takes());
        target.setFailing(false);
        (bool ok,) = address(messenger).call{gas: given}(
            abi.encodeCall(
                messenger.relayMessage,
                (Hashing.versionedNonce(0, 1), alice, address(target), 1 ether, minGas, takes())
            )
        );
        if (target.calls() > 0) vm.assertGe(target.gasSeen() + 1_000, minGas);
        vm.assertTrue(messenger.successfulMessages(h) == (target.calls() == 1));
        vm.assertEq(address(messenger).balance, target.calls() == 1 ? 0 : 1 ether);
        if (given > minGas + 200_000) vm.assertTrue(ok && target.calls() == 1, "enough gas is enough");
    }

    // --- L2 side ----------------------------------------------------------------------------------------------------

    function l2Messenger() private returns (L2CrossDomainMessenger l2) {
        L2CrossDomainMessenger implementation = new L2CrossDomainMessenger(address(messenger));
        vm.etch(Predeploys.L2_CROSS_DOMAIN_MESSENGER, address(implementation).code);
        vm.etch(Predeploys.L2_TO_L1_MESSAGE_PASSER, address(new L2ToL1MessagePasser()).code);
        l2 = L2CrossDomainMessenger(Predeploys.L2_CROSS_DOMAIN_MESSENGER);
    }

    function test_whatL1SendsL2Relays() public {
        L2CrossDomainMessenger l2 = l2Messenger();
        Target onL2 = new Target(l2);
        vm.recordLogs();
        vm.prank(alice);
        messenger.sendMessage{value: 1 ether}(address(onL2), takes(), 100_000);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bytes memory opaque = abi.decode(logs[2].data, (bytes));
        address from = address(uint160(uint256(logs[2].topics[1])));
        // After mint, value, gas limit and the creation flag.
        bytes memory data = new bytes(opaque.length - 73);
        for (uint256 i = 0; i < data.length; ++i) data[i] = opaque[i + 73];

        vm.deal(from, 1 ether);
        vm.prank(from);
        (bool ok,) = address(l2).call{value: 1 ether}(data);
        vm.assertTrue(ok);
        vm.assertEq(onL2.senderSeen(), alice);
        vm.assertEq(onL2.valueSeen(), 1 ether);

        vm.expectPartialRevert(CrossDomainMessenger.NotFromOtherMessenger.selector);
        l2.relayMessage(Hashing.versionedNonce(9, 1), alice, address(onL2), 0, 100_000, takes());
        // Not even the L1 messenger's own address, without the alias.
        vm.prank(address(messenger));
        vm.expectPartialRevert(CrossDomainMessenger.NotFromOtherMessenger.selector);
        l2.relayMessage(Hashing.versionedNonce(9, 1), alice, address(onL2), 0, 100_000, takes());
    }

    function test_whatL2SendsL1Relays() public {
        L2CrossDomainMessenger l2 = l2Messenger();
        L2ToL1MessagePasser passer = L2ToL1MessagePasser(payable(Predeploys.L2_TO_L1_MESSAGE_PASSER));
        Types.WithdrawalTransaction memory w = Types.WithdrawalTransaction({
            nonce: passer.messageNonce(),
            sender: address(l2),
            target: address(messenger),
            value: 1 ether,
            gasLimit: l2.baseGas(takes(), 100_000),
            data: abi.encodeCall(
                l2.relayMessage, (l2.messageNonce(), alice, address(target), 1 ether, 100_000, takes())
            )
        });
        vm.prank(alice);
        l2.sendMessage{value: 1 ether}(address(target), takes(), 100_000);
        bytes32 h = Hashing.hashWithdrawal(w);
        vm.assertTrue(passer.sentMessages(h));
        // Where the portal's proofs look for it.
        vm.assertEq(vm.load(address(passer), keccak256(abi.encode(h, uint256(0)))), bytes32(uint256(1)));
        mature(w);
        portal.finalizeWithdrawalTransaction(w);
        vm.assertEq(target.senderSeen(), alice);
    }

    function test_baseGasCoversTheRelay() public {
        // A target that needs all of its minimum: with exactly the gas limit of the withdrawal it must get it.
        bytes32 h = relay(0, alice, address(target), 1 ether, 300_000, takes());
        vm.assertTrue(messenger.successfulMessages(h));
        vm.assertGe(target.gasSeen(), 299_000);
    }
}

interface PortalEvents {
    event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData);
    event WithdrawalFinalized(bytes32 indexed withdrawalHash, bool success);
}
