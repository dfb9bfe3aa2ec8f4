// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {ClusterRegistry} from "../src/l1/ClusterRegistry.sol";
import {Inbox} from "../src/l1/Inbox.sol";
import {L1StandardBridge} from "../src/l1/L1StandardBridge.sol";
import {ResourceMetering} from "../src/l1/ResourceMetering.sol";
import {SheafOutputOracle} from "../src/l1/SheafOutputOracle.sol";
import {SheafPortal} from "../src/l1/SheafPortal.sol";
import {AddressAlias} from "../src/universal/AddressAlias.sol";
import {Hashing} from "../src/universal/Hashing.sol";
import {SafeCall} from "../src/universal/SafeCall.sol";
import {Types} from "../src/universal/Types.sol";
import {DeployedCluster, OneLeafTrie} from "./SheafTest.sol";
import {Vm} from "./Vm.sol";

/// @notice Records what the portal says while it calls.
contract Recorder {
    SheafPortal private immutable PORTAL;
    address public senderSeen;
    uint256 public gasSeen;
    bytes public dataSeen;

    constructor(SheafPortal portal) {
        PORTAL = portal;
    }

    receive() external payable {}

    fallback() external payable {
        gasSeen = gasleft();
        senderSeen = PORTAL.l2Sender();
        dataSeen = msg.data;
    }
}

contract Refuser {
    fallback() external payable {
        revert("no");
    }
}

/// @notice Calls the portal again from inside a withdrawal.
contract Reenterer {
    SheafPortal private immutable PORTAL;
    bytes private _call;
    bool public succeeded;
    bytes public answer;

    constructor(SheafPortal portal) {
        PORTAL = portal;
    }

    function arm(bytes calldata call) external {
        _call = call;
    }

    receive() external payable {
        (succeeded, answer) = address(PORTAL).call(_call);
    }
}

contract Depositor {
    function deposit(SheafPortal portal, uint64 gasLimit) external payable {
        portal.depositTransaction{value: msg.value}(address(1), 0, gasLimit, false, "");
    }
}

contract SheafPortalTest is DeployedCluster {
    address private alice = named("alice");
    bytes32 private constant DEPOSITED = keccak256("TransactionDeposited(address,address,uint256,bytes)");

    function setUp() public {
        startCluster();
        vm.deal(alice, 1_000 ether);
    }

    // --- before the genesis -----------------------------------------------------------------------------------------

    function test_depositsAreRefusedUntilTheBlockAfterTheGenesis() public {
        vm.prank(deployer);
        ClusterRegistry.Cluster memory c = factory.deployCluster(clusterParameters(902));
        SheafPortal fresh = SheafPortal(payable(c.portal));
        vm.startPrank(alice, alice);
        vm.expectRevert(SheafPortal.GenesisMissing.selector);
        fresh.depositTransaction{value: 1 ether}(alice, 1 ether, 100_000, false, "");
        (bool success, bytes memory reason) = address(fresh).call{value: 1 ether}("");
        vm.assertTrue(!success);
        vm.assertEq(bytes32(reason), bytes32(SheafPortal.GenesisMissing.selector));
        vm.stopPrank();

        vm.prank(operator);
        Inbox(c.inbox).publishGenesis("genesis");
        vm.assertEq(uint256(Inbox(c.inbox).genesisBlock()), block.number);
        vm.prank(alice, alice);
        vm.expectRevert(SheafPortal.GenesisMissing.selector);
        fresh.depositTransaction{value: 1 ether}(alice, 1 ether, 100_000, false, "");

        vm.roll(block.number + 1);
        vm.prank(alice, alice);
        fresh.depositTransaction{value: 1 ether}(alice, 1 ether, 100_000, false, "");
        vm.assertEq(address(fresh).balance, 1 ether);
    }

    function test_theEscrowCanBeFilledBeforeTheGenesis() public {
        vm.prank(deployer);
        SheafPortal fresh = SheafPortal(payable(factory.deployCluster(clusterParameters(902)).portal));
        vm.prank(alice, alice);
        fresh.donateETH{value: 3 ether}();
        vm.assertEq(address(fresh).balance, 3 ether);
    }

    function test_tokensAreNotTakenBeforeTheGenesis() public {
        vm.prank(deployer);
        ClusterRegistry.Cluster memory c = factory.deployCluster(clusterParameters(902));
        vm.startPrank(alice, alice);
        vm.expectRevert(SheafPortal.GenesisMissing.selector);
        L1StandardBridge(payable(c.l1StandardBridge)).depositETH{value: 1 ether}(100_000, "");
        vm.stopPrank();
    }

    // --- deposits ---------------------------------------------------------------------------------------------------

    function testFuzz_depositIsAnEventWithPackedFields(
        uint128 mint,
        uint256 value,
        uint64 extraGas,
        address to,
        bytes memory data
    ) public {
        uint64 gasLimit = portal.minimumGasLimit(uint64(data.length)) + uint64(bound(extraGas, 0, 100_000));
        vm.deal(alice, mint);
        vm.recordLogs();
        vm.prank(alice, alice);
        portal.depositTransaction{value: mint}(to, value, gasLimit, false, data);

        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 1);
        vm.assertEq(logs[0].topics[0], DEPOSITED);
        vm.assertEq(address(uint160(uint256(logs[0].topics[1]))), alice);
        vm.assertEq(address(uint160(uint256(logs[0].topics[2]))), to);
        vm.assertEq(uint256(logs[0].topics[3]), 0);
        bytes memory opaque = abi.decode(logs[0].data, (bytes));
        vm.assertEq(opaque, abi.encodePacked(uint256(mint), value, gasLimit, uint8(0), data));
        vm.assertEq(address(portal).balance, mint);
    }

    function test_creationHasNoTarget() public {
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.BadTarget.selector, address(5)));
        portal.depositTransaction(address(5), 0, 100_000, true, "");
        portal.depositTransaction(address(0), 0, 100_000, true, hex"00");
    }

    function test_contractsDepositUnderTheirAlias() public {
        Depositor depositor = new Depositor();
        vm.recordLogs();
        vm.prank(alice, alice);
        depositor.deposit{value: 1 ether}(portal, 50_000);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(
            address(uint160(uint256(logs[0].topics[1]))), AddressAlias.toL2(address(depositor))
        );
    }

    function test_accountWithDelegatedCodeKeepsItsAddress() public {
        // Called by another's transaction, as a sponsor would.
        vm.etch(alice, abi.encodePacked(hex"ef0100", address(new Depositor())));
        vm.recordLogs();
        vm.prank(alice, named("sponsor"));
        portal.depositTransaction(alice, 0, 50_000, false, "");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(address(uint160(uint256(logs[0].topics[1]))), alice);
    }

    function testFuzz_aliasIsUndone(address any) public pure {
        vm.assertEq(AddressAlias.toL1(AddressAlias.toL2(any)), any);
    }

    function test_sendingEtherDeposits() public {
        vm.expectEmit(true, true, true, true, address(portal));
        emit SheafPortal.TransactionDeposited(
            alice, alice, 0, abi.encodePacked(uint256(3 ether), uint256(3 ether), uint64(100_000), uint8(0))
        );
        vm.prank(alice, alice);
        (bool ok,) = address(portal).call{value: 3 ether}("");
        vm.assertTrue(ok);
    }

    function test_gasLimitMustPayForTheCalldata() public {
        bytes memory data = new bytes(100);
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.SmallGasLimit.selector, uint64(24_999), uint64(25_000)));
        portal.depositTransaction(alice, 0, 24_999, false, data);
        portal.depositTransaction(alice, 0, 25_000, false, data);
    }

    function test_dataIsLimited() public {
        portal.depositTransaction(alice, 0, 6_000_000, false, new bytes(120_000));
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.LargeCalldata.selector, 120_001, 120_000));
        portal.depositTransaction(alice, 0, 6_000_000, false, new bytes(120_001));
    }

    function test_donationIsNoDeposit() public {
        vm.recordLogs();
        vm.prank(alice);
        portal.donateETH{value: 1 ether}();
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.assertEq(address(portal).balance, 1 ether);
    }

    // --- the market of deposit gas ----------------------------------------------------------------------------------

    function test_oneBlockSellsNoMoreThanTheLimit() public {
        vm.fee(1000 gwei);
        portal.depositTransaction(alice, 0, 12_000_000, false, "");
        vm.expectRevert(
            abi.encodeWithSelector(
                ResourceMetering.ResourceLimitExceeded.selector, uint64(12_000_000), uint64(8_000_001), uint64(20_000_000)
            )
        );
        portal.depositTransaction(alice, 0, 8_000_001, false, "");
        vm.expectRevert();
        portal.depositTransaction(alice, 0, type(uint64).max, false, "");
        portal.depositTransaction(alice, 0, 8_000_000, false, "");
        vm.roll(block.number + 1);
        portal.depositTransaction(alice, 0, 20_000_000, false, "");
    }

    /// @dev The price after a block, from the definition and in other arithmetic than the contract's.
    function expectedPrice(uint256 price, uint256 bought, uint256 elapsed) private pure returns (uint256) {
        int256 target = 2_000_000;
        int256 delta = (int256(price) * (int256(bought) - target)) / target / 8;
        int256 p = int256(price) + delta;
        if (p > 1e24) p = 1e24;
        for (uint256 i = 1; i < elapsed && p > 1 gwei; ++i) p = p - p / 8;
        return uint256(p < 1 gwei ? int256(1 gwei) : p);
    }

    function testFuzz_priceFollowsDemand(uint64[8] memory amounts, uint8[8] memory waits) public {
        vm.fee(1_000_000 gwei); // so that hardly any gas is burnt
        (uint256 price,,) = portal.params();
        uint256 bought = 0;
        uint256 blockNumber = block.number;
        for (uint256 i = 0; i < 8; ++i) {
            uint256 wait = bound(waits[i], 1, 40);
            blockNumber += wait;
            vm.roll(blockNumber);
            uint64 amount = uint64(bound(amounts[i], 21_000, 20_000_000));
            portal.depositTransaction(alice, 0, amount, false, "");
            price = expectedPrice(price, bought, wait);
            bought = amount;
            (uint128 actual, uint64 actualBought, uint64 actualBlock) = portal.params();
            vm.assertEq(uint256(actual), price);
            vm.assertEq(uint256(actualBought), bought);
            vm.assertEq(uint256(actualBlock), blockNumber);
        }
    }

    function test_priceFallsToItsFloorHoweverHigh() public {
        // Slot 0: the ceiling as price, all gas of that block bought.
        uint256 packed = 1e24 | (uint256(20_000_000) << 128) | (uint256(block.number) << 192);
        vm.store(address(portal), bytes32(0), bytes32(packed));
        (uint128 high, uint64 bought, uint64 number) = portal.params();
        vm.assertEq(uint256(high), 1e24);
        vm.assertEq(uint256(bought), 20_000_000);
        vm.assertEq(uint256(number), block.number);
        vm.roll(block.number + 262);
        portal.depositTransaction(alice, 0, 21_000, false, "");
        (uint128 low,,) = portal.params();
        vm.assertEq(uint256(low), 1 gwei);
    }

    function test_depositGasIsPaidInGas() public {
        vm.fee(1 gwei);
        uint256 before = gasleft();
        portal.depositTransaction(alice, 0, 1_000_000, false, "");
        uint256 used = before - gasleft();
        vm.assertGe(used, 1_000_000);
        vm.assertLe(used, 1_050_000);
    }

    // --- withdrawals ------------------------------------------------------------------------------------------------

    function withdrawal(address target, uint256 value, uint256 gasLimit, bytes memory data)
        private
        view
        returns (Types.WithdrawalTransaction memory)
    {
        return Types.WithdrawalTransaction({
            nonce: Hashing.versionedNonce(7, 1),
            sender: alice,
            target: target,
            value: value,
            gasLimit: gasLimit,
            data: data
        });
    }

    function test_withdrawalWaitsItsPeriodThenPays() public {
        portal.donateETH{value: 0}();
        vm.deal(address(portal), 10 ether);
        Recorder recorder = new Recorder(portal);
        Types.WithdrawalTransaction memory w = withdrawal(address(recorder), 4 ether, 200_000, hex"c0ffee");
        bytes32 h = Hashing.hashWithdrawal(w);

        vm.expectRevert(abi.encodeWithSelector(SheafPortal.Unproven.selector, h));
        portal.finalizeWithdrawalTransaction(w);

        prove(w);
        uint256 ready = block.timestamp + PERIOD + 1;
        (bytes32 root, uint128 provenAt, uint128 index) = portal.provenWithdrawals(h);
        vm.assertEq(root, oracle.getL2Output(0).outputRoot);
        vm.assertEq(uint256(provenAt), block.timestamp);
        vm.assertEq(uint256(index), 0);
        vm.warp(ready - 1);
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.NotYetFinalizable.selector, ready));
        portal.finalizeWithdrawalTransaction(w);

        vm.warp(ready);
        vm.expectEmit(true, true, true, true, address(portal));
        emit SheafPortal.WithdrawalFinalized(h, true);
        portal.finalizeWithdrawalTransaction(w);
        vm.assertEq(address(recorder).balance, 4 ether);
        vm.assertEq(address(portal).balance, 6 ether);
        vm.assertEq(recorder.senderSeen(), alice);
        vm.assertEq(recorder.dataSeen(), hex"c0ffee");
        vm.assertGe(recorder.gasSeen(), 199_000);
        vm.assertTrue(portal.finalizedWithdrawals(h));
        vm.assertEq(portal.l2Sender(), 0x000000000000000000000000000000000000dEaD);

        vm.expectRevert(abi.encodeWithSelector(SheafPortal.AlreadyFinalized.selector, h));
        portal.finalizeWithdrawalTransaction(w);
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.AlreadyProven.selector, h));
        this.proveAgain(w, 0);
    }

    function proveAgain(Types.WithdrawalTransaction memory w, uint256 index) external {
        (bytes32 storageRoot, bytes[] memory proof) = OneLeafTrie.prove(Hashing.hashWithdrawal(w));
        portal.proveWithdrawalTransaction(
            w,
            index,
            Types.OutputRootProof(bytes32(0), keccak256("state"), storageRoot, keccak256("block")),
            proof
        );
    }

    function test_aLateProofWaitsItsOwnPeriod() public {
        vm.deal(address(portal), 1 ether);
        Types.WithdrawalTransaction memory w = withdrawal(alice, 1 ether, 21_000, "");
        (uint256 index, Types.OutputRootProof memory rootProof, bytes[] memory proof) = proposeWith(w);
        vm.warp(block.timestamp + 10 * PERIOD);
        vm.assertTrue(portal.isOutputFinalized(index));
        portal.proveWithdrawalTransaction(w, index, rootProof, proof);
        uint256 ready = block.timestamp + PERIOD + 1;
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.NotYetFinalizable.selector, ready));
        portal.finalizeWithdrawalTransaction(w);
        vm.warp(ready);
        portal.finalizeWithdrawalTransaction(w);
    }

    function test_wrongRootsAndProofsAreRefused() public {
        Types.WithdrawalTransaction memory w = withdrawal(alice, 1 ether, 21_000, "");
        (uint256 index, Types.OutputRootProof memory rootProof, bytes[] memory proof) = proposeWith(w);

        Types.OutputRootProof memory wrong = rootProof;
        wrong = Types.OutputRootProof(rootProof.version, keccak256("x"), rootProof.messagePasserStorageRoot, rootProof.latestBlockhash);
        vm.expectPartialRevert(SheafPortal.InvalidOutputRootProof.selector);
        portal.proveWithdrawalTransaction(w, index, wrong, proof);

        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.NoOutput.selector, index + 1, index + 1));
        portal.proveWithdrawalTransaction(w, index + 1, rootProof, proof);

        Types.WithdrawalTransaction memory other = withdrawal(alice, 2 ether, 21_000, "");
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.InvalidWithdrawalProof.selector, Hashing.hashWithdrawal(other)));
        portal.proveWithdrawalTransaction(other, index, rootProof, proof);

        vm.expectRevert(abi.encodeWithSelector(SheafPortal.InvalidWithdrawalProof.selector, Hashing.hashWithdrawal(w)));
        portal.proveWithdrawalTransaction(w, index, rootProof, new bytes[](0));
    }

    function test_zeroRootProvesNothing() public {
        // All zero hashes to something, so not even an empty list of outputs matches a zero proof.
        Types.OutputRootProof memory zero;
        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.NoOutput.selector, 0, 0));
        portal.proveWithdrawalTransaction(withdrawal(alice, 1, 0, ""), 0, zero, new bytes[](0));
        vm.prank(proposer);
        vm.expectRevert(abi.encodeWithSelector(SheafOutputOracle.ZeroOutputRoot.selector));
        oracle.proposeL2Output(bytes32(0), 10, bytes32(0), 0);
    }

    function testFuzz_aFlippedBitBreaksTheProof(uint256 place) public {
        Types.WithdrawalTransaction memory w = withdrawal(alice, 1 ether, 21_000, "");
        (uint256 index, Types.OutputRootProof memory rootProof, bytes[] memory proof) = proposeWith(w);
        place = bound(place, 0, proof[0].length * 8 - 1);
        proof[0][place / 8] ^= bytes1(uint8(1 << (place % 8)));
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.InvalidWithdrawalProof.selector, Hashing.hashWithdrawal(w)));
        portal.proveWithdrawalTransaction(w, index, rootProof, proof);
    }

    function test_deletedOutputStopsAndLetsProveAgain() public {
        vm.deal(address(portal), 1 ether);
        Types.WithdrawalTransaction memory w = withdrawal(alice, 1 ether, 21_000, "");
        prove(w);
        vm.prank(challenger);
        oracle.deleteL2Outputs(0);
        vm.warp(block.timestamp + PERIOD + 1);
        vm.expectRevert(
            abi.encodeWithSelector(SheafPortal.OutputChanged.selector, provenRoot(w), bytes32(0))
        );
        portal.finalizeWithdrawalTransaction(w);

        vm.prank(proposer);
        oracle.proposeL2Output(keccak256("other"), 10, bytes32(0), 0);
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.OutputChanged.selector, provenRoot(w), keccak256("other")));
        portal.finalizeWithdrawalTransaction(w);

        mature(w);
        portal.finalizeWithdrawalTransaction(w);
        vm.assertEq(alice.balance, 1_001 ether);
    }

    function provenRoot(Types.WithdrawalTransaction memory w) private view returns (bytes32 root) {
        (root,,) = portal.provenWithdrawals(Hashing.hashWithdrawal(w));
    }

    function test_failingTargetIsFinalAndItsEtherStays() public {
        vm.deal(address(portal), 1 ether);
        Types.WithdrawalTransaction memory w = withdrawal(address(new Refuser()), 1 ether, 21_000, "");
        mature(w);
        vm.expectEmit(true, true, true, true, address(portal));
        emit SheafPortal.WithdrawalFinalized(Hashing.hashWithdrawal(w), false);
        portal.finalizeWithdrawalTransaction(w);
        vm.assertEq(address(portal).balance, 1 ether);
        vm.expectPartialRevert(SheafPortal.AlreadyFinalized.selector);
        portal.finalizeWithdrawalTransaction(w);
    }

    function test_estimatesFailWhereTheTargetWould() public {
        Types.WithdrawalTransaction memory w = withdrawal(address(new Refuser()), 0, 21_000, "");
        mature(w);
        vm.prank(address(1), address(1));
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.GasEstimation.selector));
        portal.finalizeWithdrawalTransaction(w);
    }

    function testFuzz_targetGetsItsGasOrNothingHappens(uint256 gasLimit, uint256 given) public {
        Recorder recorder = new Recorder(portal);
        gasLimit = bound(gasLimit, 100_000, 3_000_000);
        given = bound(given, 100_000, 5_000_000);
        Types.WithdrawalTransaction memory w = withdrawal(address(recorder), 0, gasLimit, hex"01");
        mature(w);
        (bool ok, bytes memory answer) = address(portal).call{gas: given}(
            abi.encodeCall(portal.finalizeWithdrawalTransaction, (w))
        );
        if (ok) {
            // What the fallback spends before it looks.
            vm.assertGe(recorder.gasSeen() + 1_000, gasLimit);
            vm.assertTrue(portal.finalizedWithdrawals(Hashing.hashWithdrawal(w)));
        } else {
            vm.assertFalse(portal.finalizedWithdrawals(Hashing.hashWithdrawal(w)));
            vm.assertTrue(answer.length == 0 || bytes4(answer) == SafeCall.NotEnoughGas.selector);
        }
    }

    function test_absurdGasLimitCannotFinalize() public {
        Types.WithdrawalTransaction memory w = withdrawal(alice, 0, type(uint256).max, "");
        mature(w);
        vm.expectRevert();
        portal.finalizeWithdrawalTransaction(w);
    }

    function test_emptyEscrowLosesNoWithdrawal() public {
        vm.deal(address(portal), 1 ether);
        Types.WithdrawalTransaction memory w = withdrawal(alice, 2 ether, 21_000, "");
        mature(w);
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.InsufficientEscrow.selector, 1 ether, 2 ether));
        portal.finalizeWithdrawalTransaction(w);
        portal.donateETH{value: 1 ether}();
        portal.finalizeWithdrawalTransaction(w);
        vm.assertEq(alice.balance, 1_002 ether);
    }

    function test_portalIsNoTarget() public {
        Types.WithdrawalTransaction memory w = withdrawal(address(portal), 0, 21_000, "");
        (uint256 index, Types.OutputRootProof memory rootProof, bytes[] memory proof) = proposeWith(w);
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.BadTarget.selector, address(portal)));
        portal.proveWithdrawalTransaction(w, index, rootProof, proof);
    }

    function test_noReentranceIntoWithdrawals() public {
        vm.deal(address(portal), 10 ether);
        Reenterer reenterer = new Reenterer(portal);
        Types.WithdrawalTransaction memory inner = withdrawal(alice, 5 ether, 21_000, "");
        Types.WithdrawalTransaction memory outer = withdrawal(address(reenterer), 1 ether, 1_000_000, "");
        prove(inner);
        mature(outer);

        reenterer.arm(abi.encodeCall(portal.finalizeWithdrawalTransaction, (inner)));
        portal.finalizeWithdrawalTransaction(outer);
        vm.assertFalse(reenterer.succeeded());
        vm.assertEq(bytes32(reenterer.answer()), bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector));
        vm.assertEq(address(portal).balance, 9 ether);

        // Its own withdrawal again.
        Types.WithdrawalTransaction memory again = withdrawal(address(reenterer), 2 ether, 1_000_000, "");
        mature(again);
        reenterer.arm(abi.encodeCall(portal.finalizeWithdrawalTransaction, (again)));
        portal.finalizeWithdrawalTransaction(again);
        vm.assertFalse(reenterer.succeeded());
        vm.assertEq(address(portal).balance, 7 ether);

        // A deposit is allowed: contracts may send on what they receive.
        Types.WithdrawalTransaction memory back = withdrawal(address(reenterer), 3 ether, 1_000_000, "");
        mature(back);
        reenterer.arm(abi.encodeCall(portal.depositTransaction, (alice, 0, 50_000, false, "")));
        portal.finalizeWithdrawalTransaction(back);
        vm.assertTrue(reenterer.succeeded());
    }

    // --- pause ------------------------------------------------------------------------------------------------------

    function test_pauseStopsWithdrawalsNotDeposits() public {
        Types.WithdrawalTransaction memory w = withdrawal(alice, 0, 21_000, "");
        (uint256 index, Types.OutputRootProof memory rootProof, bytes[] memory proof) = proposeWith(w);
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.NotGuardian.selector, address(this)));
        portal.pause();
        vm.prank(guardian);
        portal.pause();
        uint64 until = uint64(block.timestamp) + 14 days;
        vm.assertTrue(portal.paused());
        vm.assertTrue(messenger.paused());
        vm.assertTrue(bridge.paused());
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.CallPaused.selector, until));
        portal.proveWithdrawalTransaction(w, index, rootProof, proof);
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.CallPaused.selector, until));
        portal.finalizeWithdrawalTransaction(w);
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.CallPaused.selector, until));
        portal.pause();
        portal.depositTransaction(alice, 0, 21_000, false, "");

        vm.prank(guardian);
        portal.unpause();
        portal.proveWithdrawalTransaction(w, index, rootProof, proof);
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.NotPaused.selector));
        portal.unpause();
    }

    function test_pauseEndsByItself() public {
        vm.prank(guardian);
        portal.pause();
        vm.warp(block.timestamp + 14 days);
        vm.assertFalse(portal.paused());
        Types.WithdrawalTransaction memory w = withdrawal(alice, 0, 21_000, "");
        mature(w);
        portal.finalizeWithdrawalTransaction(w);
    }

    function test_timelockReplacesTheGuardian() public {
        vm.expectPartialRevert(OwnableUpgradeable.OwnableUnauthorizedAccount.selector);
        portal.setGuardian(alice);
        vm.prank(address(timelock));
        portal.setGuardian(alice);
        vm.assertEq(portal.guardian(), alice);
        vm.prank(address(timelock));
        vm.expectRevert(abi.encodeWithSelector(SheafPortal.ZeroAddress.selector));
        portal.setGuardian(address(0));
    }
}
