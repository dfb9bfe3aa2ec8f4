// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {FastLz} from "../src/l2/FastLz.sol";
import {FeeVault} from "../src/l2/FeeVault.sol";
import {GasPriceOracle} from "../src/l2/GasPriceOracle.sol";
import {L1Block} from "../src/l2/L1Block.sol";
import {L2ToL1MessagePasser} from "../src/l2/L2ToL1MessagePasser.sol";
import {OptimismMintableERC20Factory} from "../src/l2/OptimismMintableERC20Factory.sol";
import {WETH} from "../src/l2/WETH.sol";
import {Hashing} from "../src/universal/Hashing.sol";
import {Predeploys} from "../src/universal/Predeploys.sol";
import {Types} from "../src/universal/Types.sol";
import {SheafTest} from "./SheafTest.sol";
import {Vm} from "./Vm.sol";

/// @notice Takes no ETH.
contract Closed {
    function withdraw(WETH weth, uint256 amount) external {
        weth.withdraw(amount);
    }

    function wrap(WETH weth) external payable {
        weth.deposit{value: msg.value}();
    }
}

contract L2Test is SheafTest {
    address private alice = named("alice");
    L1Block private l1Block = L1Block(Predeploys.L1_BLOCK);
    GasPriceOracle private gpo;
    L2ToL1MessagePasser private passer = L2ToL1MessagePasser(payable(Predeploys.L2_TO_L1_MESSAGE_PASSER));

    function setUp() public {
        vm.etch(Predeploys.L1_BLOCK, address(new L1Block()).code);
        vm.etch(Predeploys.L2_TO_L1_MESSAGE_PASSER, address(new L2ToL1MessagePasser()).code);
        gpo = new GasPriceOracle();
        vm.deal(alice, 100 ether);
    }

    struct Attributes {
        uint32 baseFeeScalar;
        uint32 blobBaseFeeScalar;
        uint64 sequenceNumber;
        uint64 timestamp;
        uint64 number;
        uint256 basefee;
        uint256 blobBaseFee;
        bytes32 hash;
        bytes32 batcherHash;
    }

    function setAttributes(Attributes memory a) private returns (bool ok) {
        bytes memory data = abi.encodePacked(
            bytes4(0x440a5e20),
            a.baseFeeScalar,
            a.blobBaseFeeScalar,
            a.sequenceNumber,
            a.timestamp,
            a.number,
            a.basefee,
            a.blobBaseFee,
            a.hash,
            a.batcherHash
        );
        vm.assertEq(data.length, 164);
        (ok,) = Predeploys.L1_BLOCK.call(data);
    }

    function testFuzz_attributesAreUnpacked(Attributes memory a) public {
        vm.prank(Predeploys.DEPOSITOR);
        vm.assertTrue(setAttributes(a));
        vm.assertEq(uint256(l1Block.baseFeeScalar()), a.baseFeeScalar);
        vm.assertEq(uint256(l1Block.blobBaseFeeScalar()), a.blobBaseFeeScalar);
        vm.assertEq(uint256(l1Block.sequenceNumber()), a.sequenceNumber);
        vm.assertEq(uint256(l1Block.timestamp()), a.timestamp);
        vm.assertEq(uint256(l1Block.number()), a.number);
        vm.assertEq(l1Block.basefee(), a.basefee);
        vm.assertEq(l1Block.blobBaseFee(), a.blobBaseFee);
        vm.assertEq(l1Block.hash(), a.hash);
        vm.assertEq(l1Block.batcherHash(), a.batcherHash);
    }

    /// @dev Nodes read these slots without calling.
    function testFuzz_attributesAreInTheOpStacksSlots(Attributes memory a) public {
        vm.prank(Predeploys.DEPOSITOR);
        setAttributes(a);
        address at = Predeploys.L1_BLOCK;
        vm.assertEq(uint256(vm.load(at, bytes32(uint256(0)))), a.number | (uint256(a.timestamp) << 64));
        vm.assertEq(uint256(vm.load(at, bytes32(uint256(1)))), a.basefee);
        vm.assertEq(vm.load(at, bytes32(uint256(2))), a.hash);
        vm.assertEq(
            uint256(vm.load(at, bytes32(uint256(3)))),
            a.sequenceNumber | (uint256(a.blobBaseFeeScalar) << 64) | (uint256(a.baseFeeScalar) << 96)
        );
        vm.assertEq(vm.load(at, bytes32(uint256(4))), a.batcherHash);
        vm.assertEq(uint256(vm.load(at, bytes32(uint256(7)))), a.blobBaseFee);
    }

    function testFuzz_onlyTheDepositorSetsAttributes(address caller) public {
        vm.assume(caller != Predeploys.DEPOSITOR);
        Attributes memory a;
        vm.prank(caller);
        vm.assertFalse(setAttributes(a));
    }

    function repeat(bytes1 value, uint256 count) private pure returns (bytes memory data) {
        data = new bytes(count);
        for (uint256 i = 0; i < count; ++i) data[i] = value;
    }

    /// @dev Lengths that op-geth and the oracles of other chains state for the same bytes.
    function test_fastLzLengthsAreTheKnownOnes() public pure {
        vm.assertEq(FastLz.compressedLength(""), 0);
        vm.assertEq(FastLz.compressedLength(repeat(0x00, 1000)), 21);
        vm.assertEq(FastLz.compressedLength(repeat(0x01, 1000)), 21);
        vm.assertEq(
            FastLz.compressedLength(hex"dd80808094095e7baea6a6c7c4c2dfeb977efac326af552d878080808080"), 31
        );
        // A transaction of OP Mainnet: 0x8eb9dd4eb6d33f4dc25fb015919e4b1e9f7542f9b0322bf6622e268cd116b594.
        vm.assertEq(
            FastLz.compressedLength(
                hex"02f901550a758302df1483be21b88304743f94f80e51afb613d764fa61751affd3313c190a86bb870151bd62fd12adb8"
                hex"e41ef24f3f000000000000000000000000000000000000000000000000000000000000006e0000000000000000000000"
                hex"00af88d065e77c8cc2239327c5edb3a432268e583100000000000000000000000000000000000000000000000000000000"
                hex"0003c1e5000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                hex"0000000000000000000000000000a000000000000000000000000000000000000000000000000000000000000000148c89"
                hex"ed219d02f1a5be012c689b4f5b731827bebe000000000000000000000000c001a033fd89cb37c31b2cba46b6466e040c61"
                hex"fc9b2a3675a7f5f493ebd5ad77c497f8a07cdf65680e238392693019b4092f610222e71b7cec06449cb922b93b6a12744e"
            ),
            202
        );
    }

    /// @dev The same lengths that the node's own code gives: see scripts/vectors.ts.
    function test_fastLzLengthsAreTheNodes() public view {
        string memory json = vm.readFile("test/vectors/fastlz.json");
        bytes[] memory inputs = vm.parseJsonBytesArray(json, ".inputs");
        uint256[] memory lengths = vm.parseJsonUintArray(json, ".lengths");
        vm.assertGt(inputs.length, 50);
        for (uint256 i = 0; i < inputs.length; ++i) {
            vm.assertEq(FastLz.compressedLength(inputs[i]), lengths[i], vm.toString(i));
        }
    }

    function testFuzz_fastLzAddsLittle(bytes memory data) public pure {
        vm.assertLe(FastLz.compressedLength(data), data.length + (data.length + 31) / 32);
    }

    function test_feeIsFjords() public {
        Attributes memory a;
        a.baseFeeScalar = 5_227;
        a.blobBaseFeeScalar = 1_014_213;
        a.basefee = 7 gwei;
        a.blobBaseFee = 3 gwei;
        vm.prank(Predeploys.DEPOSITOR);
        setAttributes(a);
        uint256 price = 16 * 7 gwei * 5_227 + 3 gwei * uint256(1_014_213);
        // Small transactions count as 100 bytes.
        vm.assertEq(gpo.getL1Fee(""), uint256(100e6) * price / 1e12);
        // 300 bytes that do not repeat: 310 in FastLZ, 68 of signature.
        bytes memory data = new bytes(300);
        for (uint256 i = 0; i < 300; ++i) data[i] = bytes1(uint8(uint256(keccak256(abi.encode(i)))));
        vm.assertEq(FastLz.compressedLength(data), 310);
        uint256 size = 836_500 * 378 - 42_585_600;
        vm.assertEq(gpo.getL1Fee(data), size * price / 1e12);
        vm.assertEq(gpo.getL1GasUsed(data), size * 16 / 1e6);
        vm.assertLe(gpo.getL1Fee(data), gpo.getL1FeeUpperBound(300));
        vm.assertEq(gpo.l1BaseFee(), 7 gwei);
        vm.assertEq(gpo.blobBaseFee(), 3 gwei);
        vm.assertEq(gpo.DECIMALS(), 6);
        vm.assertTrue(gpo.isFjord());
    }

    function testFuzz_upperBoundHolds(bytes memory data, uint32 baseScalar, uint64 basefee) public {
        Attributes memory a;
        a.baseFeeScalar = baseScalar;
        a.basefee = basefee;
        vm.prank(Predeploys.DEPOSITOR);
        setAttributes(a);
        vm.assertLe(gpo.getL1Fee(data), gpo.getL1FeeUpperBound(data.length));
    }

    function test_withdrawalsAreRecordedWhereProofsLook() public {
        Types.WithdrawalTransaction memory w = Types.WithdrawalTransaction({
            nonce: passer.messageNonce(),
            sender: alice,
            target: address(5),
            value: 1 ether,
            gasLimit: 70_000,
            data: hex"beef"
        });
        bytes32 h = Hashing.hashWithdrawal(w);
        vm.expectEmit(true, true, true, true, address(passer));
        emit L2ToL1MessagePasser.MessagePassed(w.nonce, alice, address(5), 1 ether, 70_000, hex"beef", h);
        vm.prank(alice);
        passer.initiateWithdrawal{value: 1 ether}(address(5), 70_000, hex"beef");
        vm.assertEq(vm.load(address(passer), keccak256(abi.encode(h, uint256(0)))), bytes32(uint256(1)));
        vm.assertEq(passer.messageNonce(), Hashing.versionedNonce(1, 1));
        vm.assertTrue(passer.sentMessages(h));
    }

    function test_burningTakesTheEtherOut() public {
        vm.prank(alice);
        (bool ok,) = address(passer).call{value: 3 ether}("");
        vm.assertTrue(ok);
        vm.expectEmit(true, true, true, true, address(passer));
        emit L2ToL1MessagePasser.WithdrawerBalanceBurnt(3 ether);
        passer.burn();
        vm.assertEq(address(passer).balance, 0);
    }

    function test_vaultsSendToTheirRecipient() public {
        address recipient = named("recipient");
        FeeVault onL2 = new FeeVault(recipient, 1 ether, FeeVault.WithdrawalNetwork.L2);
        vm.deal(address(onL2), 1 ether - 1);
        vm.expectRevert(abi.encodeWithSelector(FeeVault.BelowMinimum.selector, 1 ether - 1, 1 ether));
        onL2.withdraw();
        vm.deal(address(onL2), 2 ether);
        onL2.withdraw();
        vm.assertEq(recipient.balance, 2 ether);
        vm.assertEq(onL2.totalProcessed(), 2 ether);

        FeeVault onL1 = new FeeVault(recipient, 0, FeeVault.WithdrawalNetwork.L1);
        vm.deal(address(onL1), 2 ether);
        vm.recordLogs();
        onL1.withdraw();
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs[1].emitter, address(passer));
        vm.assertEq(address(uint160(uint256(logs[1].topics[3]))), recipient);
        vm.assertEq(address(passer).balance, 2 ether);
    }

    function testFuzz_wethIsBacked(uint96 wrapped, uint96 unwrapped) public {
        vm.etch(Predeploys.WETH, address(new WETH()).code);
        WETH weth = WETH(payable(Predeploys.WETH));
        unwrapped = uint96(bound(unwrapped, 0, wrapped));
        vm.deal(alice, wrapped);
        vm.startPrank(alice);
        (bool ok,) = address(weth).call{value: wrapped}("");
        vm.assertTrue(ok);
        weth.withdraw(unwrapped);
        vm.assertEq(weth.balanceOf(alice), uint256(wrapped) - unwrapped);
        vm.assertEq(weth.totalSupply(), address(weth).balance);
        vm.assertEq(alice.balance, unwrapped);
        vm.assertEq(weth.name(), "Wrapped Ether");
        vm.assertEq(weth.symbol(), "WETH");
        vm.expectRevert();
        weth.withdraw(uint256(wrapped) - unwrapped + 1);
    }

    function test_wethKeepsWhatCannotBeTaken() public {
        WETH weth = new WETH();
        Closed closed = new Closed();
        closed.wrap{value: 1 ether}(weth);
        vm.expectRevert(abi.encodeWithSelector(WETH.TransferFailed.selector, address(closed), 1 ether));
        closed.withdraw(weth, 1 ether);
        vm.assertEq(weth.balanceOf(address(closed)), 1 ether);
    }

    function test_factoryDeploysAtAddressesOfTheParameters() public {
        OptimismMintableERC20Factory tokens = new OptimismMintableERC20Factory();
        address first = tokens.createOptimismMintableERC20(address(5), "A", "A");
        vm.assertEq(tokens.deployments(first), address(5));
        vm.expectRevert();
        tokens.createOptimismMintableERC20(address(5), "A", "A");
        address second = tokens.createOptimismMintableERC20WithDecimals(address(5), "A", "A", 6);
        vm.assertTrue(first != second);
        vm.expectRevert(abi.encodeWithSelector(OptimismMintableERC20Factory.NoRemoteToken.selector));
        tokens.createStandardL2Token(address(0), "A", "A");
    }

    receive() external payable {}
}
